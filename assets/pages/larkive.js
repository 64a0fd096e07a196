// What the pages do better with a script. Everything works without it.
"use strict";

document.documentElement.classList.add("has-script");

// Times are sent by the clocks of the archive's time zone; a browser knows how its reader's language writes them.
function timeFormat() {
  const { lang } = document.documentElement;
  const style = { dateStyle: "medium", timeStyle: "short" };
  try {
    return new Intl.DateTimeFormat(lang, { ...style, timeZone: document.body.dataset.timeZone });
  } catch {
    // A browser that is older than the zone: what was sent stays.
    return undefined;
  }
}

function showLocalTimes(root) {
  const format = timeFormat();
  if (!format) {
    return;
  }
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (!Number.isNaN(date.valueOf())) {
      time.title = time.dateTime;
      time.textContent = format.format(date);
    }
  }
}

// A picture that cannot be had leaves the sign for its kind to be seen.
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement && event.target.closest(".picture")) {
    event.target.remove();
  }
}, true);

// How many are selected, and all of them at once.
function countSelected(form) {
  const boxes = [...form.querySelectorAll("input[name=id]")];
  const selected = boxes.filter((box) => box.checked).length;
  form.querySelector("[data-selected]").textContent = selected;
  const all = form.querySelector("[data-select-all]");
  all.checked = selected > 0 && selected === boxes.length;
  all.indeterminate = selected > 0 && selected < boxes.length;
  for (const button of form.querySelectorAll(".selection button:not([form])")) {
    button.disabled = selected === 0;
  }
}

function followSelection(form) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) {
      for (const box of form.querySelectorAll("input[name=id]")) {
        box.checked = event.target.checked;
      }
    }
    countSelected(form);
  });
  countSelected(form);
}

async function page(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) {
    throw new Error(`${address} answered ${answer.status}`);
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Further items come when the end of the list is near. The link stays for the keyboard, and leads to
// the next page where fetching fails.
function followPager(pager) {
  const items = document.querySelector("[data-items]");
  const form = document.querySelector("[data-selection]");
  const beganAtFirst = !pager.querySelector("[data-first]");
  let busy = false;

  async function more() {
    const link = pager.querySelector("[data-more]");
    if (!link || busy) {
      return;
    }
    busy = true;
    try {
      const next = await page(link.href);
      const first = next.querySelector("[data-items]").firstElementChild;
      const hadFocus = document.activeElement === link;
      showLocalTimes(next);
      items.append(...next.querySelector("[data-items]").children);
      pager.replaceChildren(...next.querySelector("[data-pager]").children);
      if (beganAtFirst) {
        // The first page stands above.
        pager.querySelector("[data-first]")?.remove();
      }
      countSelected(form);
      if (hadFocus) {
        first.querySelector("a").focus();
      }
      busy = false;
      watch();
    } catch {
      observer.disconnect();
      location.assign(link.href);
    }
  }

  const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), {
    rootMargin: "600px",
  });
  function watch() {
    observer.disconnect();
    const link = pager.querySelector("[data-more]");
    if (link) {
      observer.observe(link);
    }
  }
  pager.addEventListener("click", (event) => {
    if (event.target.matches("[data-more]")) {
      event.preventDefault();
      more();
    }
  });
  watch();
}

// What is still being worked on is looked at again, until it has come to rest.
function followState() {
  const shown = document.querySelector("[data-unsettled]");
  if (!shown) {
    return;
  }
  setTimeout(async () => {
    try {
      const now = await page(location.href);
      const content = now.querySelector("main");
      if (now.querySelector("[data-state]").dataset.state !== document.querySelector("[data-state]").dataset.state) {
        showLocalTimes(content);
        document.querySelector("main").replaceChildren(...content.childNodes);
      }
      followState();
    } catch {
      // Signed out, or the server is gone: what is shown stays.
    }
  }, 1500);
}

showLocalTimes(document);
document.querySelectorAll("[data-selection]").forEach(followSelection);
if (document.querySelector("[data-items]")) {
  document.querySelectorAll("[data-pager]").forEach(followPager);
}
followState();
