//! `strategy.blueGreen`: one colour, then the other.

use super::{duration, header, missing, refuse, scalar};
use crate::spec::Reporter;
use crate::spec::fields::Fields;
use crate::spec::strategy::{BlueGreen, HeaderMatch};
use crate::spec::yaml::{Data, Node};

const KEYS: [&str; 7] = [
    "preview",
    "autoPromotionEnabled",
    "autoPromotionSeconds",
    "switchAt",
    "scaleDownDelaySeconds",
    "prePromotionAnalysis",
    "postPromotionAnalysis",
];

/// Keys that nothing acts on yet.
const REFUSED: [(&str, &str); 2] = [
    ("prePromotionAnalysis", "without it traffic would be switched although the analysis fails"),
    ("postPromotionAnalysis", "without it a bad version would not be switched back"),
];

/// Reads the value of `blueGreen:`; nothing is all defaults. What is wrong is reported and left at its default.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> BlueGreen {
    let mut blue_green = BlueGreen::default();
    if node.data == Data::Null {
        return blue_green;
    }
    let Some(fields) = Fields::read(node, "blueGreen", &KEYS, reporter) else { return blue_green };
    refuse(&fields, &REFUSED, reporter);
    if let Some(node) = fields.get("preview") {
        blue_green.preview = preview(node, reporter);
    }
    if let Some(enabled) =
        fields.get("autoPromotionEnabled").and_then(|node| scalar::boolean(node, "autoPromotionEnabled", reporter))
    {
        blue_green.auto_promotion_enabled = enabled;
    }
    if let Some(entry) = fields.entry("autoPromotionSeconds") {
        blue_green.auto_promotion = scalar::seconds(&entry.value, "autoPromotionSeconds", 0, reporter);
        if !blue_green.auto_promotion_enabled {
            let message = "autoPromotionSeconds has no effect beside autoPromotionEnabled: false";
            reporter.warning(entry.position, message, "autoPromotionSeconds", None);
        }
    }
    blue_green.switch_at = fields.get("switchAt").and_then(|node| duration::instant(node, "switchAt", reporter));
    if let Some(delay) =
        fields.get("scaleDownDelaySeconds").and_then(|node| scalar::seconds(node, "scaleDownDelaySeconds", 0, reporter))
    {
        blue_green.scale_down_delay = delay;
    }
    blue_green
}

fn preview(node: &Node, reporter: &mut Reporter) -> Vec<HeaderMatch> {
    let Some(fields) = Fields::read(node, "preview", &["match"], reporter) else { return Vec::new() };
    let Some(node) = fields.get("match") else {
        missing(&fields, "preview.match", "it says who sees the new version before the switch", reporter);
        return Vec::new();
    };
    let errors = reporter.errors();
    let matches = header::matches(node, "preview.match", reporter);
    if matches.is_empty() && reporter.errors() == errors {
        let help = Some("leave preview out if nobody is to see the new version before the switch".to_owned());
        reporter.error(node.position, "preview.match has no condition", node.found(), help);
    }
    matches
}
