//! `larkive sandbox`: the stand-in platform alone.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;

use super::{Exit, Outcome, address, signals};
use crate::sandbox::{Sandbox, SandboxOptions};

const EXAMPLES: &str = "\
It accepts every app id and secret, hands out tokens and serves the resources of the events that
`larkive trigger` sends. No configuration is read. Its base URL is printed once it listens.

Examples:
  larkive sandbox
  larkive sandbox --listen 127.0.0.1:9000 --fixtures ./media

  Let Larkive work with it, and send it a picture:
    FEISHU_BASE_URL=http://127.0.0.1:8081 larkive serve
    FEISHU_BASE_URL=http://127.0.0.1:8081 larkive trigger image

  See what was asked and served, one JSON object a line:
    curl http://127.0.0.1:8081/sandbox/requests

  Cut the next two downloads after 100 bytes, and stop doing so:
    curl -X PUT http://127.0.0.1:8081/sandbox/faults \\
      -d '[{\"route\":\"resource\",\"times\":2,\"do\":{\"cut\":{\"after\":100}}}]'
    curl -X DELETE http://127.0.0.1:8081/sandbox/faults";

/// Run the stand-in platform: everything Larkive needs of Feishu, without an account
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = address::listening)]
    pub listen: SocketAddr,
    /// A directory with files to serve; a file's name is its key
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
}

/// Runs until a signal comes.
///
/// # Errors
/// The address is taken, or the directory is none.
pub async fn run(args: Args) -> Outcome {
    if let Some(directory) = &args.fixtures {
        ensure!(directory.is_dir(), "--fixtures: {} is not a directory", directory.display());
    }
    let shutdown = signals::shutdown()?;
    let options = SandboxOptions { listen: args.listen, fixtures: args.fixtures, ..SandboxOptions::default() };
    let sandbox = Sandbox::start(options).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", sandbox.base_url())?;
    stdout.flush()?;
    shutdown.cancelled().await;
    sandbox.stop().await;
    Ok(Exit::Done)
}
