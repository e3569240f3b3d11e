//! `strategy.blueGreen`.

use std::time::Duration;

use super::{good, refused, warned, with};
use crate::spec::{BlueGreen, HeaderMatch, Strategy, StringMatch};

fn rollout(blue_green: &str) -> String {
    with(6, &format!("  target: blue\n  strategy:\n    blueGreen: {blue_green}"))
}

fn read(blue_green: &str) -> BlueGreen {
    let Strategy::BlueGreen(blue_green) = good(&rollout(blue_green)).strategy.clone() else {
        panic!("a colour switch")
    };
    blue_green
}

#[test]
fn a_colour_switch_is_read_whole() {
    let read = read(
        "
      preview: {match: [{headerName: X-Preview, headerValue: {exact: '1'}}]}
      autoPromotionEnabled: true
      autoPromotionSeconds: 300
      switchAt: 2026-12-01T02:00:00.5Z
      scaleDownDelaySeconds: 600
      prePromotionAnalysis: {templates: [{templateName: smoke}]}
      postPromotionAnalysis: {templates: [{templateName: golden}, {templateName: 2}]}
",
    );
    let expected = BlueGreen {
        preview: vec![HeaderMatch { header: "x-preview".into(), value: StringMatch::Exact("1".into()) }],
        auto_promotion_enabled: true,
        auto_promotion: Some(Duration::from_secs(300)),
        switch_at: Some(Duration::from_millis(1_796_090_400_500)),
        scale_down_delay: Duration::from_secs(600),
        pre_promotion_analysis: vec!["smoke".into()],
        post_promotion_analysis: vec!["golden".into(), "2".into()],
    };
    assert_eq!(read, expected);
}

#[test]
fn times_have_an_offset() {
    for text in ["2026-12-01T02:00:00Z", "2026-12-01T03:30:00+01:30", "2026-11-30T21:00:00-05:00"] {
        assert_eq!(
            read(&format!("{{switchAt: {text}}}")).switch_at,
            Some(Duration::from_secs(1_796_090_400)),
            "{text}"
        );
    }
}

#[test]
fn a_colour_switch_is_checked() {
    let time = "switchAt must be a time such as 2026-12-01T02:00:00Z or 2026-12-01T03:00:00+01:00, found";
    for (text, expected) in [
        ("|[]", "blueGreen must be a mapping, found a list"),
        (
            "{|activeService: a}",
            "unknown key \"activeService\" in blueGreen (expected one of preview, \
          autoPromotionEnabled, autoPromotionSeconds, switchAt, scaleDownDelaySeconds, prePromotionAnalysis, \
          postPromotionAnalysis)",
        ),
        ("{prePromotionAnalysis: |{}}", "prePromotionAnalysis.templates is missing: it says which metrics are judged"),
        ("{postPromotionAnalysis: {templates: |[]}}", "postPromotionAnalysis.templates is empty"),
        ("{preview: |{}}", "preview.match is missing: it says who sees the new version before the switch"),
        (
            "{preview: {match: |[]}}",
            "preview.match has no condition (leave preview out if nobody is to see the new version before the switch)",
        ),
        ("{preview: {|mach: []}}", "unknown key \"mach\" in preview (did you mean \"match\"?)"),
        ("{preview: {match: [|1]}}", "a match must be a mapping, found 1"),
        (
            "{autoPromotionEnabled: |no}",
            "autoPromotionEnabled must be true or false, found \"no\" (write false, without quotes)",
        ),
        ("{autoPromotionEnabled: |0}", "autoPromotionEnabled must be true or false, found 0"),
        ("{autoPromotionSeconds: |-1}", "autoPromotionSeconds must be a whole number from 0 to 315360000, found -1"),
        (
            "{scaleDownDelaySeconds: |1.5}",
            "scaleDownDelaySeconds must be a whole number from 0 to 315360000, found 1.5",
        ),
        ("{switchAt: |tomorrow}", &format!("{time} \"tomorrow\"")),
        ("{switchAt: |2026}", &format!("{time} 2026")),
        (
            "{switchAt: |2026-12-01T02:00:00}",
            &format!("{time} \"2026-12-01T02:00:00\" (write 2026-12-01T02:00:00Z if UTC is meant)"),
        ),
        ("{switchAt: |2026-12-01 02:00:00Z}", &format!("{time} \"2026-12-01 02:00:00Z\" (write 2026-12-01T02:00:00Z)")),
        (
            "{switchAt: |2026-12-01T02:00:00+01}",
            &format!("{time} \"2026-12-01T02:00:00+01\" (write 2026-12-01T02:00:00+01:00)"),
        ),
        ("{switchAt: |1969-12-01T02:00:00Z}", "switchAt must be a time after 1970, found \"1969-12-01T02:00:00Z\""),
    ] {
        refused(&rollout(text), expected);
    }
}

#[test]
fn a_wait_that_never_ends_by_itself_is_told() {
    let rollout = warned(
        &rollout("{autoPromotionEnabled: false, |autoPromotionSeconds: 60}"),
        "autoPromotionSeconds has no effect beside autoPromotionEnabled: false",
    );
    assert!(matches!(&rollout.strategy, Strategy::BlueGreen(read) if !read.auto_promotion_enabled));
}
