//! What a search means, and where it is wrong.

use proptest::prelude::*;

use super::*;

fn search(text: &str) -> Search {
    text.parse().unwrap()
}

fn texts(needles: &[Needle]) -> Vec<&str> {
    needles.iter().map(Needle::as_str).collect()
}

#[test]
fn words_phrases_and_traits_are_told_apart() {
    let found = search("发票 \"Final  Version\" -draft type:image,post chat:报销 -state:gone ext:.PDF 10:30 - “a b”");
    assert_eq!(texts(&found.words), ["发票", "final version", "10:30", "a b"]);
    assert_eq!(found.words.iter().map(Needle::end).filter(|end| *end == End::WithWord).count(), 2);
    assert_eq!(texts(&found.unwanted_words), ["draft"]);
    assert_eq!(found.wanted.kinds, [Kind::Role(Role::Image), Kind::MessageType("post")]);
    assert_eq!(found.wanted.chats[0].name, Needle::new("报销", End::Anywhere));
    assert_eq!(found.unwanted.states, [State::Gone]);
    assert_eq!(found.wanted.extensions, ["pdf"]);
}

#[test]
fn full_width_signs_are_signs_too() {
    assert_eq!(search("type：image，视频 －“草 稿”"), search("TYPE:image,video -\"草 稿\""));
}

#[test]
fn times_sizes_and_order_are_understood() {
    let found = search("a after:7d before:2026-01-31 larger:10MB smaller:2GiB sort:relevance");
    assert_eq!(found.larger, Some(10_000_000));
    assert_eq!(found.smaller, Some(2 << 30));
    assert_eq!(found.order, Order::Relevance);
    assert!(matches!((found.after, found.before), (Some(Moment::Ago(_)), Some(Moment::Midnight(_)))));
}

#[test]
fn a_text_with_a_colon_is_a_text() {
    assert_eq!(texts(&search("https://example.com/a 项目:总结").words), ["https://example.com/a", "项目:总结"]);
    assert_eq!(texts(&search("\"type:image\"").words), ["type:image"]);
}

#[test]
fn errors_point_at_the_character() {
    let check = |text: &str, at: usize, says: &str| {
        let error = text.parse::<Search>().unwrap_err();
        let FilterError::BadQuery { position, problem } = &error else { panic!("{error}") };
        assert!(*position == at && problem.to_string().contains(says), "{text:?}: {error}");
    };
    check("", 1, "no word");
    check("  ", 1, "no word");
    check(" - #", 2, "no word");
    check("发票 \"总结", 4, "never closed");
    check("发票 \"#\"", 4, "no letter");
    check("课 type:picture,pdff", 16, "card_image");
    check("a type:", 8, "wants a value");
    check("a state:done", 9, "impossible");
    check("a after:yesterday", 9, "7d");
    check("larger:1MB larger:2MB", 12, "twice");
    check("-after:7d", 1, "cannot be turned round");
    check("a tpye:image", 3, "type:");
    check("sort:relevance", 1, "words");
    check("sha256:abc", 8, "64 hexadecimal digits");
    check(&"字 ".repeat(MAX_WORDS + 1), 33, "at most 16");
    check(&"字".repeat(MAX_VALUE_BYTES), 171, "longer");
}

#[test]
fn searches_that_mean_the_same_are_spelled_the_same() {
    assert_eq!(search("Ｂ a type:image").canonical(), search("type:photo  A b b").canonical());
    assert_ne!(search("a b").canonical(), search("\"a b\"").canonical());
    assert_ne!(search("a -b").canonical(), search("a b").canonical());
}

proptest! {
    #[test]
    fn every_text_is_understood_or_refused_at_a_place_within_it(text in "([-a-z:,\"发“－ ]|type:|after:|larger:){0,12}|\\PC{0,40}") {
        match text.parse::<Search>() {
            Ok(search) => prop_assert!(!search.canonical().is_empty()),
            Err(FilterError::BadQuery { position, .. }) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&position));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
