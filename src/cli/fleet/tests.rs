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

fn written(report: &FleetReport) -> String {
    let mut out = Vec::new();
    table::write(&mut out, report).unwrap();
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
"
    );
}

#[test]
fn an_empty_fleet_says_what_to_do() {
    let empty = FleetReport { at: String::new(), nodes: Vec::new() };
    assert!(written(&empty).contains("serin bootstrap"));
}

fn watch(output: Report, redraw: bool) -> Watch {
    Watch { output, redraw, rows: None, nodes: String::new() }
}

fn shown(watch: &mut Watch, report: &FleetReport) -> String {
    let mut out = Vec::new();
    watch.show(&mut out, &serde_json::to_string(report).unwrap()).unwrap();
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
    assert_eq!(parse(&shown(&mut watch, &report)).unwrap(), report);
    report.at = "2026-11-21T10:00:20.000Z".to_owned();
    assert_eq!(shown(&mut watch, &report), "");
    report.nodes.pop();
    assert_eq!(shown(&mut watch, &report).lines().count(), 1);
}
