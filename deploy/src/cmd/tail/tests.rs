use super::*;

fn args() -> TailArgs {
    TailArgs { status: Vec::new(), method: Vec::new(), header: None, search: None }
}

#[test]
fn a_node_that_leaves_pings_unanswered_is_given_up_after_a_minute() {
    let mut silence = Silence::default();
    let asked = std::iter::repeat_with(|| silence.bears_another_ping()).take_while(|bears| *bears).count();
    assert_eq!(PING_EVERY * (u32::try_from(asked).unwrap() + 1), Duration::from_secs(60));
}

#[test]
fn any_frame_ends_the_silence() {
    let mut silence = Silence::default();
    for _ in 0..100 {
        assert!(silence.bears_another_ping());
        silence.end();
    }
}

#[test]
fn each_flag_of_tail_is_one_filter() {
    assert_eq!(filters(&args()), json!([]));
    let all = TailArgs {
        status: vec![Outcome::Ok, Outcome::Canceled],
        method: vec!["post".to_owned(), "GET".to_owned()],
        header: Some("x-id: 7".to_owned()),
        search: Some("hello".to_owned()),
    };
    let expected = json!([
        { "outcome": ["ok", "canceled"] },
        { "method": ["POST", "GET"] },
        { "header": { "key": "x-id", "query": "7" } },
        { "query": "hello" },
    ]);
    assert_eq!(filters(&all), expected);
    let named = TailArgs { header: Some("x-id".to_owned()), ..args() };
    assert_eq!(filters(&named), json!([{ "header": { "key": "x-id" } }]));
}
