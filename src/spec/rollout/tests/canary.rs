//! `strategy.canary`.

use std::time::Duration;

use super::{good, refused, warned, with};
use crate::spec::{
    Affinity, BackgroundAnalysis, Canary, HeaderMatch, HeaderRoute, MirrorRoute, Step, Strategy, StringMatch,
};

fn rollout(canary: &str) -> String {
    with(6, &format!("  target: blue\n  strategy:\n    canary: {canary}"))
}

fn read(canary: &str) -> Canary {
    let Strategy::Canary(canary) = good(&rollout(canary)).strategy.clone() else { panic!("a canary") };
    canary
}

fn pause(seconds: u64) -> Step {
    Step::Pause(Some(Duration::from_secs(seconds)))
}

fn matching(header: &str, value: StringMatch) -> HeaderMatch {
    HeaderMatch { header: header.into(), value }
}

#[test]
fn a_canary_is_read_whole() {
    let canary = read(
        "
      steps:
      - setHeaderRoute:
          name: qa
          match:
          - {headerName: X-Canary, headerValue: {exact: 'true'}}
          - {headerName: ':path', headerValue: {prefix: /shop}}
          - {headerName: x-user, headerValue: {regex: 'a|[b-d]+'}}
      - setWeight: 0.25
      - pause: {duration: 10m}
      - setMirrorRoute: {name: shadow, percentage: 35}
      - pause: {duration: 20}
      - setMirrorRoute: {name: shadow}
      - setHeaderRoute: {name: qa, match: []}
      - setHeaderRoute: {name: qa, match: [{headerName: x, headerValue: {exact: ''}}]}
      - setHeaderRoute: {name: qa}
      - analysis: {templates: [{templateName: golden}, {templateName: 2}]}
      - pause: {}
      - pause:
      sessionAffinity: {header: X-User-Id}
      scaleDownDelaySeconds: 0
",
    );
    let header_route = |matches| Step::SetHeaderRoute(HeaderRoute { name: "qa".into(), matches });
    let mirror = |percentage| Step::SetMirrorRoute(MirrorRoute { name: "shadow".into(), percentage });
    let expected = Canary {
        analysis: None,
        steps: vec![
            header_route(vec![
                matching("x-canary", StringMatch::Exact("true".into())),
                matching(":path", StringMatch::Prefix("/shop".into())),
                matching("x-user", StringMatch::Regex("a|[b-d]+".into())),
            ]),
            Step::SetWeight(25),
            pause(600),
            mirror(35),
            pause(20),
            mirror(0),
            header_route(vec![]),
            header_route(vec![matching("x", StringMatch::Exact(String::new()))]),
            header_route(vec![]),
            Step::Analysis(vec!["golden".into(), "2".into()]),
            Step::Pause(None),
            Step::Pause(None),
        ],
        affinity: Some(Affinity::Header("x-user-id".into())),
        scale_down_delay: Duration::ZERO,
    };
    assert_eq!(canary, expected);
}

#[test]
fn a_canary_may_be_short() {
    for text in ["", "{}", "{steps: []}", "{steps: }"] {
        assert_eq!(read(text), Canary::default(), "{text}");
    }
    let affinity = read("{sessionAffinity: {cookie: {name: Serin}}}").affinity;
    assert_eq!(affinity, Some(Affinity::Cookie("Serin".into())));
}

#[test]
fn sugar_is_expanded() {
    let expand = |weights: &[u32], seconds| -> Vec<Step> {
        weights.iter().flat_map(|weight| [Step::SetWeight(*weight), pause(seconds)]).collect()
    };
    for (text, weights, seconds) in [
        ("{stepWeight: 10, maxWeight: 50, interval: 2m}", &[1000, 2000, 3000, 4000, 5000][..], 120),
        ("{stepWeight: 20, maxWeight: 50}", &[2000, 4000, 5000], 60),
        ("{stepWeight: 50, interval: 10}", &[5000, 10_000], 10),
        ("{stepWeight: 50, maxWeight: 50}", &[5000], 60),
        ("{stepWeights: [1, 5, 20.5, 100], interval: 30s}", &[100, 500, 2050, 10_000], 30),
    ] {
        assert_eq!(read(text).steps, expand(weights, seconds), "{text}");
    }
}

#[test]
fn sugar_is_checked() {
    for (text, expected) in [
        ("{|stepWeight: 10, steps: []}", "stepWeight cannot stand beside steps (it is short for steps)"),
        ("{steps: [], |interval: 1m}", "interval cannot stand beside steps (it is short for steps)"),
        ("{stepWeight: 5, |stepWeights: [5]}", "canary has both stepWeight and stepWeights, expected one of them"),
        (
            "{stepWeights: [5], |maxWeight: 50}",
            "maxWeight cannot stand beside stepWeights (the last of stepWeights is the highest)",
        ),
        ("{|maxWeight: 50}", "maxWeight needs stepWeight or stepWeights beside it"),
        ("{maxWeight: 50, |stepWieght: 5}", "unknown key \"stepWieght\" in canary (did you mean \"stepWeight\"?)"),
        ("{interval: 1m, |stpes: []}", "unknown key \"stpes\" in canary (did you mean \"steps\"?)"),
        ("{stepWeight: |0}", "stepWeight must be above 0, found 0"),
        ("{stepWeight: |ten}", "a weight is a percentage such as 12.5, found \"ten\""),
        ("{stepWeight: |60, maxWeight: 50}", "stepWeight 60 is above maxWeight 50"),
        ("{stepWeight: 60, maxWeight: |500}", "a weight cannot be above 100, found 500"),
        ("{stepWeights: |5}", "stepWeights must be a list, found 5"),
        ("{stepWeights: |[]}", "stepWeights is empty"),
        ("{stepWeights: [1, 20.5, |20.5]}", "stepWeights must rise, found 20.5 after 20.5"),
        ("{stepWeights: [|0, 20]}", "stepWeights must be above 0, found 0"),
        ("{stepWeight: 10, interval: |0}", "canary.interval must be longer than nothing, found 0"),
    ] {
        refused(&rollout(text), expected);
    }
}

#[test]
fn a_canary_is_checked() {
    let cookie = "letters, digits and !#$%&'*+-.^_`|~";
    for (text, expected) in [
        ("|5", "canary must be a mapping, found 5"),
        ("{|step: []}", "unknown key \"step\" in canary (did you mean \"steps\"?)"),
        (
            "{scaleDownDelaySeconds: |30s}",
            "scaleDownDelaySeconds must be a whole number of seconds, found \"30s\" (write 30 as a bare number)",
        ),
        (
            "{scaleDownDelaySeconds: |'30'}",
            "scaleDownDelaySeconds must be a whole number of seconds, found \"30\" (write 30 as a bare number)",
        ),
        ("{sessionAffinity: |{}}", "sessionAffinity needs exactly one of cookie, header, found none"),
        (
            "{sessionAffinity: |{header: x, cookie: {name: y}}}",
            "sessionAffinity needs exactly one of cookie, header, found header, cookie",
        ),
        (
            "{sessionAffinity: {|cookieName: x}}",
            "unknown key \"cookieName\" in sessionAffinity (expected one of cookie, header)",
        ),
        ("{sessionAffinity: {cookie: |serin}}", "sessionAffinity.cookie must be a mapping, found \"serin\""),
        (
            "{sessionAffinity: {cookie: |{}}}",
            "sessionAffinity.cookie.name is missing: users are told apart by the cookie of that name",
        ),
        (
            "{sessionAffinity: {cookie: {name: |'a b'}}}",
            &format!("sessionAffinity.cookie.name must be a cookie name, found \"a b\" ({cookie})"),
        ),
        (
            "{sessionAffinity: {cookie: {name: a, ttl: |long}}}",
            "sessionAffinity.cookie.ttl must be a duration such as 30s, 5m or 1h30m, found \"long\"",
        ),
        (
            "{sessionAffinity: {header: |':path'}}",
            &format!("sessionAffinity.header must be a header name, found \":path\" ({cookie})"),
        ),
    ] {
        refused(&rollout(text), expected);
    }
}

#[test]
fn a_cookie_is_not_made_by_envoy() {
    let rollout = warned(
        &rollout("{sessionAffinity: {cookie: {name: serin, |ttl: 1h}}}"),
        "ttl has no effect: Envoy does not make the cookie where it splits by weight (the application or an earlier \
         hop must set it)",
    );
    let Strategy::Canary(canary) = &rollout.strategy else { panic!("a canary") };
    assert_eq!(canary.affinity, Some(Affinity::Cookie("serin".into())));
}

#[test]
fn steps_are_checked() {
    let kinds = "setWeight, pause, setHeaderRoute, setMirrorRoute, analysis";
    for (steps, expected) in [
        ("|{setWeight: 5}", "canary.steps must be a list, found a mapping"),
        ("[|pause]", "a step must be a mapping, found \"pause\""),
        ("[|{}]", &format!("a step needs exactly one of {kinds}, found none")),
        ("[|{setWeight: 5, pause: {}}]", &format!("a step needs exactly one of {kinds}, found setWeight, pause")),
        ("[{|setWieght: 5}]", "unknown key \"setWieght\" in a step (did you mean \"setWeight\"?)"),
        ("[{|setCanaryScale: {}}]", &format!("unknown key \"setCanaryScale\" in a step (expected one of {kinds})")),
        ("[{analysis: |golden}]", "analysis must be a mapping, found \"golden\""),
        ("[{analysis: |{}}]", "analysis.templates is missing: it says which metrics are judged"),
        ("[{analysis: {templates: |[]}}]", "analysis.templates is empty"),
        ("[{analysis: {templates: |golden}}]", "analysis.templates must be a list, found \"golden\""),
        (
            "[{analysis: {templates: [{|templateNam: golden}]}}]",
            "unknown key \"templateNam\" in a template (did you mean \"templateName\"?)",
        ),
        ("[{analysis: {templates: [|{}]}}]", "templateName is missing: it is what the template is called"),
        ("[{analysis: {templates: [{templateName: a}, {templateName: |a}]}}]", "template \"a\" stands twice"),
        (
            "[{analysis: {templates: [{templateName: a}], |args: []}}]",
            "args is not supported yet (without them queries would ask something else)",
        ),
        ("[{setWeight|: }]", "a weight is a percentage such as 12.5, found nothing"),
        ("[{setWeight: |-1}]", "a weight cannot be negative, found -1"),
        ("[{setWeight: |100.01}]", "a weight cannot be above 100, found 100.01"),
        ("[{setWeight: |0.125}]", "a weight has at most two decimals, found 0.125"),
    ] {
        refused(&rollout(&format!("{{steps: {steps}}}")), expected);
    }
}

#[test]
fn pauses_are_checked() {
    let duration = "a duration such as 30s, 5m or 1h30m";
    for (pause, expected) in [
        ("|10m", "pause must be a mapping, found \"10m\" (write pause: {duration: 10m})"),
        ("|30", "pause must be a mapping, found 30 (write pause: {duration: 30})"),
        ("|true", "pause must be a mapping, found true"),
        ("{|durration: 5}", "unknown key \"durration\" in pause (did you mean \"duration\"?)"),
        ("{duration|: }", &format!("pause.duration must be {duration}, found nothing")),
        ("{duration: |1d}", &format!("pause.duration must be {duration}, found \"1d\" (write 24h)")),
        ("{duration: |10M}", &format!("pause.duration must be {duration}, found \"10M\" (write 10m)")),
        ("{duration: |soon}", &format!("pause.duration must be {duration}, found \"soon\"")),
        ("{duration: |1e3}", &format!("pause.duration must be {duration}, found 1e3")),
        ("{duration: |-5}", "pause.duration must be a duration that is not negative, found -5"),
        ("{duration: |90000h}", "pause.duration must be at most 87600h, which is ten years, found \"90000h\""),
    ] {
        refused(&rollout(&format!("{{steps: [{{pause: {pause}}}]}}")), expected);
    }
    let text = rollout("{steps: [{pause: {duration: |0}}]}");
    let rollout = warned(&text, "a pause of 0s does not wait (pause: {} waits for promote)");
    assert_eq!(rollout.strategy, Strategy::Canary(Canary { steps: vec![pause(0)], ..Canary::default() }));
}

#[test]
fn header_routes_are_checked() {
    let token = "letters, digits and !#$%&'*+-.^_`|~";
    for (route, expected) in [
        ("|qa", "setHeaderRoute must be a mapping, found \"qa\""),
        (
            "|{match: [{headerName: x, headerValue: {exact: a}}]}",
            "setHeaderRoute.name is missing: later steps know the route by it",
        ),
        ("{name: |''}", "setHeaderRoute.name is empty"),
        ("{name: qa, |mtach: []}", "unknown key \"mtach\" in setHeaderRoute (did you mean \"match\"?)"),
        ("{name: qa, match: |x}", "setHeaderRoute.match must be a list, found \"x\""),
        ("{name: qa, match: [|x]}", "a match must be a mapping, found \"x\""),
        ("{name: qa, match: [|{headerName: x}]}", "headerValue is missing: it is what the header must be"),
        ("{name: qa, match: [|{headerValue: {exact: a}}]}", "headerName is missing: it is the header to look at"),
        (
            "{name: qa, match: [{headerName: |'x y', headerValue: {exact: a}}]}",
            &format!("headerName must be a header name, found \"x y\" ({token})"),
        ),
        (
            "{name: qa, match: [{headerName: |Host, headerValue: {exact: a}}]}",
            "headerName must be a header that can be matched, found \"Host\" (Envoy knows the host as \":authority\")",
        ),
        (
            "{name: qa, match: [{headerName: |':pth', headerValue: {exact: a}}]}",
            &format!("headerName must be a header name, found \":pth\" ({token})"),
        ),
        ("{name: qa, match: [{headerName: x, headerValue: |a}]}", "headerValue must be a mapping, found \"a\""),
        (
            "{name: qa, match: [{headerName: x, headerValue: |{exact: a, prefix: a}}]}",
            "headerValue needs exactly one of exact, prefix, regex, found exact, prefix",
        ),
        (
            "{name: qa, match: [{headerName: x, headerValue: {|exakt: a}}]}",
            "unknown key \"exakt\" in headerValue (did you mean \"exact\"?)",
        ),
        (
            "{name: qa, match: [{headerName: x, headerValue: {exact: |true}}]}",
            "exact must be text, found true (quote it: \"true\")",
        ),
        ("{name: qa, match: [{headerName: x, headerValue: {prefix: |''}}]}", "prefix must be text, found \"\""),
        (
            "{name: qa, match: [{headerName: x, headerValue: {regex: |'(a'}}]}",
            "regex must be an RE2 expression (unclosed group), found \"(a\"",
        ),
    ] {
        refused(&rollout(&format!("{{steps: [{{setHeaderRoute: {route}}}]}}")), expected);
    }
}

#[test]
fn mirrors_are_checked() {
    let percentage = "setMirrorRoute.percentage must be a whole number from 0 to 100, found";
    for (mirror, expected) in [
        ("|{percentage: 5}", "setMirrorRoute.name is missing: later steps know the route by it"),
        ("{name: m, percentage: |101}", &format!("{percentage} 101")),
        ("{name: m, percentage: |0.5}", &format!("{percentage} 0.5")),
        ("{name: m, percentage: |5%}", &format!("{percentage} \"5%\"")),
        ("{name: m, |percentag: 5}", "unknown key \"percentag\" in setMirrorRoute (did you mean \"percentage\"?)"),
        (
            "{name: m, percentage: 5, |match: []}",
            "match is not supported yet (without it more requests would be copied than asked for)",
        ),
    ] {
        refused(&rollout(&format!("{{steps: [{{setMirrorRoute: {mirror}}}]}}")), expected);
    }
}

#[test]
fn only_what_was_made_is_taken_away() {
    let made = "{setHeaderRoute: {name: qa, match: [{headerName: x, headerValue: {exact: a}}]}}";
    let mirrored = "{setMirrorRoute: {name: shadow, percentage: 5}}";
    for (steps, expected) in [
        ("{setHeaderRoute: {name: |qa}}".to_owned(), "there is no header route \"qa\" to take away at this step"),
        (
            format!("{made}, {{setHeaderRoute: {{name: |qs}}}}"),
            "there is no header route \"qs\" to take away at this step (did you mean \"qa\"?)",
        ),
        (
            format!("{mirrored}, {{setHeaderRoute: {{name: |shadow}}}}"),
            "there is no header route \"shadow\" to take away at this step",
        ),
        (
            format!("{made}, {{setHeaderRoute: {{name: qa}}}}, {{setHeaderRoute: {{name: |qa, match: []}}}}"),
            "there is no header route \"qa\" to take away at this step",
        ),
        (
            format!("{made}, {{setMirrorRoute: {{name: |qa, percentage: 0}}}}"),
            "there is no mirror \"qa\" to take away at this step",
        ),
        (
            format!("{mirrored}, {{setMirrorRoute: {{name: |dark}}}}"),
            "there is no mirror \"dark\" to take away at this step (there are shadow)",
        ),
        // One mistake, not two: the route with the bad match was meant to be made.
        (
            "{setHeaderRoute: {name: a, match: [|1]}}, {setHeaderRoute: {name: a}}".to_owned(),
            "a match must be a mapping, found 1",
        ),
    ] {
        refused(&rollout(&format!("{{steps: [{steps}]}}")), expected);
    }
}

#[test]
fn an_analysis_beside_the_steps_is_read() {
    let judged = |starting_step, names: &[&str]| {
        Some(BackgroundAnalysis { templates: names.iter().map(|name| (*name).into()).collect(), starting_step })
    };
    let steps = "steps: [{setWeight: 5}, {pause: {}}]";
    let canary = read(&format!("{{{steps}, analysis: {{templates: [{{templateName: golden}}]}}}}"));
    assert_eq!((canary.analysis, canary.steps.len()), (judged(1, &["golden"]), 2));
    let two = "[{templateName: golden}, {templateName: 2}]";
    let canary = read(&format!("{{{steps}, analysis: {{templates: {two}, startingStep: 2}}}}"));
    assert_eq!(canary.analysis, judged(2, &["golden", "2"]));
    let sugar = read("{stepWeights: [5, 20], analysis: {templates: [{templateName: a}], startingStep: 4}}");
    assert_eq!((sugar.analysis, sugar.steps.len()), (judged(4, &["a"]), 4));
}

#[test]
fn an_analysis_beside_the_steps_is_checked() {
    let golden = "templates: [{templateName: golden}]";
    let two = "steps: [{setWeight: 5}, {pause: {}}]";
    let least = "analysis.startingStep must be a whole number from 1";
    for (text, expected) in [
        (
            format!("{{analysis: |{{{golden}}}}}"),
            "analysis has no steps to stand beside (without steps all traffic moves at once: add steps, or use \
             blueGreen)"
                .to_owned(),
        ),
        (format!("{{{two}, analysis: {{{golden}, startingStep: |3}}}}"), format!("{least} to 2, found 3")),
        (format!("{{{two}, analysis: {{{golden}, startingStep: |0}}}}"), format!("{least} to 2, found 0")),
        (format!("{{{two}, analysis: {{{golden}, startingStep: |two}}}}"), format!("{least} to 2, found \"two\"")),
        (format!("{{stepWeights: [5], analysis: {{{golden}, startingStep: |3}}}}"), format!("{least} to 2, found 3")),
        (format!("{{{two}, analysis: {{templates: |[]}}}}"), "analysis.templates is empty".to_owned()),
        (
            format!("{{{two}, analysis: |{{startingStep: 1}}}}"),
            "analysis.templates is missing: it says which metrics are judged".to_owned(),
        ),
        (
            format!("{{{two}, analysis: {{{golden}, |startStep: 1}}}}"),
            "unknown key \"startStep\" in analysis (did you mean \"startingStep\"?)".to_owned(),
        ),
        (
            format!("{{{two}, analysis: {{{golden}, |args: []}}}}"),
            "args is not supported yet (without them queries would ask something else)".to_owned(),
        ),
        // One mistake, not two: how many steps there are is not known.
        (
            format!("{{|step: [], analysis: {{{golden}, startingStep: 9}}}}"),
            "unknown key \"step\" in canary (did you mean \"steps\"?)".to_owned(),
        ),
    ] {
        refused(&rollout(&text), &expected);
    }
}
