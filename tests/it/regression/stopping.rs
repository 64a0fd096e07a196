//! Ends of the program that were not what they were told to be.

use std::time::{Duration, Instant};

use larkive::sandbox::{Route, Sandbox, SandboxOptions};
use serde_json::json;

use crate::program::Workplace;
use crate::support::until_called;

/// Less than what downloads in flight may take after the first signal.
const AT_ONCE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ended_as_if_everything_had_been_finished() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    platform.fault(serde_json::from_value(json!({"route": "resource", "do": {"stall": {"after": 10}}})).unwrap());
    let workplace = Workplace::configured(&platform.base_url());
    let (serving, address) = workplace.serve();
    let url = format!("http://{address}/webhook/event");
    workplace.run(&["trigger", "image", "--url", &url]).ended(0);
    until_called(&platform, Route::Resource, 1).await;

    serving.terminate();
    serving.log_line("stopping; a second signal stops at once");
    let told = Instant::now();
    serving.terminate();
    let ended = serving.wait().ended(1);
    assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
    assert!(ended.stderr.contains("Stopped at once by a second signal"), "{}", ended.stderr);
}
