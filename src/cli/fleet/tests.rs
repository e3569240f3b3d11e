use super::*;
use crate::admin::{NodeReport, TypeReport};

fn ty(name: &str, status: &str, version: Option<&str>, since: &str) -> TypeReport {
    TypeReport {
        ty: name.to_owned(),
        status: status.to_owned(),
        version: version.map(str::to_owned),
        nonce: version.map(|_| 1),
        since: since.to_owned(),
        error: None,
        resources: Vec::new(),
    }
}

fn node(id: &str, types: Vec<TypeReport>) -> NodeReport {
    NodeReport {
        id: id.to_owned(),
        cluster: "edge".to_owned(),
        group: "all".to_owned(),
        user_agent: "envoy 1.40.0".to_owned(),
        peer: "127.0.0.1:5".to_owned(),
        variant: "delta".to_owned(),
        connected: true,
        since: "2026-11-21T10:00:00.000Z".to_owned(),
        reason: None,
        types,
    }
}

fn fleet() -> FleetReport {
    let mut rejecting = ty("RDS", "NACK", None, "2026-11-21T09:00:00.000Z");
    rejecting.error = Some("route: unknown cluster 'nope'\n\x1b[31m".to_owned());
    let mut away = node("edge-10", vec![ty("CDS", "STALE", Some("00000000000000aa"), "2026-11-18T10:00:00.000Z")]);
    away.connected = false;
    away.reason = Some("connection reset".to_owned());
    FleetReport {
        at: "2026-11-21T10:00:12.500Z".to_owned(),
        nodes: vec![
            node("edge-1", vec![ty("CDS", "SYNCED", Some("0123456789abcdef"), "2026-11-21T10:00:00.000Z"), rejecting]),
            away,
            node("edge-2", vec![]),
        ],
    }
}

/// Loaded 12 s before [`fleet`] was asked for.
fn files() -> admin::Report {
    admin::Report { loaded: Some("2026-11-21T10:00:00.000Z".to_owned()), ..admin::Report::default() }
}

/// A file with a mistake, held back.
fn held() -> admin::Report {
    let mistake = admin::Mistake {
        file: "shop.yaml".to_owned(),
        line: 3,
        column: 5,
        severity: "error".to_owned(),
        message: "no version `gren`".to_owned(),
        found: "gren".to_owned(),
        help: None,
    };
    admin::Report { held: vec!["shop.yaml".to_owned()], mistakes: vec![mistake], ..files() }
}

fn written(report: &FleetReport) -> String {
    let mut out = Vec::new();
    table::write(&mut out, report, &files()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_is_aligned_and_sums_up() {
    assert_eq!(
        written(&fleet()),
        "\
NODE     CLUSTER  GROUP  TYPE  STATUS  VERSION           SINCE  DETAIL
edge-1   edge     all    CDS   SYNCED  0123456789abcdef  12s
edge-1   edge     all    RDS   NACK    -                 60m    route: unknown cluster 'nope'  [31m
edge-10  edge     all    CDS   STALE   00000000000000aa  3d     disconnected: connection reset
edge-2   edge     all    -     -       -                 12s

0 of 3 nodes in sync, 1 rejected something, 1 not connected
configuration loaded 12s ago
"
    );
}

#[test]
fn what_was_rejected_is_named_even_if_the_words_do_not() {
    let mut report = fleet();
    let mut detail = |error: &str, resources: &[&str]| {
        let ty = &mut report.nodes[0].types[1];
        ty.error = Some(error.to_owned());
        ty.resources = resources.iter().map(ToString::to_string).collect();
        let line = table::rows(&report)[1].line();
        line.split_once("60m ").unwrap().1.to_owned()
    };
    assert_eq!(detail("no such filter", &["routes"]), "routes: no such filter");
    assert_eq!(detail("routes: no such filter", &["routes"]), "routes: no such filter");
    assert_eq!(detail("bad", &["a1", "a2", "a3", "a4"]), "a1, a2, a3 and 1 more: bad");
    assert_eq!(detail("bad", &[]), "bad");
}

#[test]
fn how_the_files_stand_is_said_below() {
    let last = |files: &admin::Report| {
        let mut out = Vec::new();
        table::write(&mut out, &fleet(), files).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.split_once("not connected\n").unwrap().1.to_owned()
    };
    assert_eq!(
        last(&held()),
        "configuration loaded 12s ago\n\
         shop.yaml is held back, its last good version goes on: 3:5: no version `gren`\n"
    );
    let gone = admin::Report { unreadable: Some("cannot read conf: gone".to_owned()), ..files() };
    assert!(last(&gone).ends_with("\ncannot read conf: gone; what was read before goes on\n"));
    let waiting = admin::Report { waiting: Some("nothing is served yet".to_owned()), ..admin::Report::default() };
    assert_eq!(last(&waiting), "configuration not loaded yet\nnothing is served yet\n");
}

#[test]
fn a_watch_that_is_piped_says_once_what_is_wrong_with_the_files() {
    let mut watch = watch(Report::Text, false);
    shown(&mut watch, &fleet());
    let mut trouble = || {
        let mut out = Vec::new();
        watch.show(&mut out, &answer(&fleet(), &held())).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(trouble().starts_with("2026-11-21T10:00:12.500Z shop.yaml is held back, "));
    assert_eq!(trouble(), "");
}

#[test]
fn an_empty_fleet_says_what_to_do() {
    let empty = FleetReport { at: String::new(), nodes: Vec::new() };
    assert!(written(&empty).contains("serin bootstrap"));
}

fn watch(output: Report, redraw: bool) -> Watch {
    Watch { output, redraw, ..Watch::default() }
}

fn answer(report: &FleetReport, files: &admin::Report) -> Answer {
    Answer { fleet: serde_json::to_string(report).unwrap(), files: serde_json::to_string(files).unwrap() }
}

fn shown(watch: &mut Watch, report: &FleetReport) -> String {
    let mut out = Vec::new();
    watch.show(&mut out, &answer(report, &files())).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_watch_that_is_piped_prints_changed_lines_only() {
    let mut watch = watch(Report::Text, false);
    let mut report = fleet();
    assert_eq!(shown(&mut watch, &report), written(&report));
    report.at = "2026-11-21T10:00:20.000Z".to_owned();
    assert_eq!(shown(&mut watch, &report), "");
    report.nodes[0].types[1] = ty("RDS", "SYNCED", Some("00000000000000bb"), "2026-11-21T10:00:20.000Z");
    report.nodes.remove(1);
    assert_eq!(
        shown(&mut watch, &report),
        "2026-11-21T10:00:20.000Z edge-1 edge all RDS SYNCED 00000000000000bb 0s\n\
         2026-11-21T10:00:20.000Z edge-10 edge all CDS STALE 00000000000000aa 3d disconnected: connection reset \
         (no longer known)\n"
    );
}

#[test]
fn a_watch_on_a_terminal_redraws() {
    let mut watch = watch(Report::Text, true);
    for _ in 0..2 {
        assert_eq!(shown(&mut watch, &fleet()), format!("{CLEAR}{}", written(&fleet())));
    }
}

#[test]
fn a_watch_in_json_prints_a_document_per_change() {
    let mut watch = watch(Report::Json, false);
    let mut report = fleet();
    assert_eq!(serde_json::from_str::<FleetReport>(&shown(&mut watch, &report)).unwrap(), report);
    report.at = "2026-11-21T10:00:20.000Z".to_owned();
    assert_eq!(shown(&mut watch, &report), "");
    report.nodes.pop();
    assert_eq!(shown(&mut watch, &report).lines().count(), 1);
}
