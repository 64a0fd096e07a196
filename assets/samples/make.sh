#!/bin/sh
# Makes the sample media anew. Needs ffmpeg (with libx264, libopus and libwebp) and python3.
# Everything is drawn or synthesised here; nothing is taken from elsewhere.
set -eu
cd "$(dirname "$0")"
ffmpeg="ffmpeg -hide_banner -loglevel error -y -bitexact"

# A drawn landscape of gradients: sky, a sun, hills.
landscape="geq=r='if(lt(hypot(X-230,Y-60),26),255,if(gt(Y,150+18*sin(X/29)),60+Y/6,120+Y/2))':g='if(lt(hypot(X-230,Y-60),26),225,if(gt(Y,150+18*sin(X/29)),130-Y/8,170+Y/4))':b='if(lt(hypot(X-230,Y-60),26),120,if(gt(Y,150+18*sin(X/29)),70,235-Y/5))'"
$ffmpeg -f lavfi -i "color=black:s=320x240:d=1:r=1,format=rgb24,$landscape" -frames:v 1 -q:v 5 photo.jpg
$ffmpeg -f lavfi -i "color=black:s=320x240:d=1:r=1,format=rgb24,$landscape,hue=h=60" -frames:v 1 -quality 70 picture.webp
# A ball that runs round in a circle.
ball="geq=lum='if(lt(hypot(X-48-24*cos(N*PI/6),Y-48-24*sin(N*PI/6)),10),60,235)':cb=128:cr='if(lt(hypot(X-48-24*cos(N*PI/6),Y-48-24*sin(N*PI/6)),10),200,128)'"
$ffmpeg -f lavfi -i "color=white:s=96x96:r=12:d=1,format=yuv444p,$ball" -loop 0 moving.gif

# Two seconds of an arpeggio for the voice message; the same under a test picture for the video.
notes="sin(2*PI*t*(330+110*mod(floor(t*4),4)))*0.3*exp(-3*mod(t*4,1)/4)"
$ffmpeg -f lavfi -i "aevalsrc='$notes':s=48000:d=2" -c:a libopus -b:a 24k -application voip voice.ogg
$ffmpeg -f lavfi -i "testsrc=s=320x240:r=15:d=2" -f lavfi -i "aevalsrc='$notes':s=48000:d=2" \
    -c:v libx264 -profile:v baseline -pix_fmt yuv420p -crf 30 -preset veryslow -c:a aac -b:a 32k \
    -movflags +faststart -shortest video.mp4
$ffmpeg -i video.mp4 -ss 1 -frames:v 1 -q:v 6 cover.jpg

python3 - <<'PYTHON'
import zipfile

def pdf(lines):
    text = "BT /F1 18 Tf 72 720 Td 24 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    out += "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
    return out.encode("ascii")

with open("report.pdf", "wb") as file:
    file.write(pdf(["Quarterly report 2026", "", "A sample document of Larkive.", "One page, one font, no secrets."]))

with zipfile.ZipFile("project.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for name, text in [("读我.txt", "样例压缩包。\n" * 20), ("plan/steps.csv", "step,done\n1,yes\n2,no\n")]:
        archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
PYTHON
