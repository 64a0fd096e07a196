//! How many files the program may have open.

use crate::program::Workplace;

#[test]
fn the_soft_limit_of_open_files_was_taken_as_it_came() {
    let place = Workplace::configured("http://127.0.0.1:9");
    let serving = place.start_with_open_files(100, &["serve"]);
    serving.log_line("listening");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let files: Vec<_> = files.split_whitespace().collect();
    assert_eq!(files[3], files[4], "the soft limit is the hard one: {files:?}");
    serving.stop().ended(0);
}
