//! Idle memory: what a server that has nothing to do keeps.

use std::time::Duration;

use crate::Extent;
use crate::acks::Platform;
use crate::process::{self, Serve, Server};
use crate::samples::Samples;

/// How long a server has nothing to do before it is looked at.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// Looks at servers that have just been started.
pub(crate) fn run(extent: Extent, samples: &mut Samples) -> anyhow::Result<()> {
    let platform = Platform::start()?;
    for _ in 0..extent.rounds() {
        let directory = process::directory()?;
        let serve = Serve::start(directory.path(), &platform.url, "off")?;
        add(samples, "idle after the start, MiB", &serve.server)?;
    }
    Ok(())
}

/// Waits a moment and takes the memory that a server holds.
pub(crate) fn add(samples: &mut Samples, name: &str, server: &Server) -> anyhow::Result<()> {
    std::thread::sleep(SETTLES_WITHIN);
    samples.add(name, server.memory_mib("VmRSS")?);
    Ok(())
}
