//! `strategy.blueGreen`: one colour, then the other.

use std::sync::Arc;

use super::{analysis, duration, header, required, scalar};
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

/// Reads the value of `blueGreen:`; nothing is all defaults. What is wrong is reported and left at its default.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> BlueGreen {
    let default = BlueGreen::default();
    if node.data == Data::Null {
        return default;
    }
    let Some(fields) = Fields::read(node, "blueGreen", &KEYS, reporter) else { return default };
    let templates = |key, reporter: &mut Reporter| -> Vec<Arc<str>> {
        fields.get(key).map(|node| analysis::read(node, key, reporter)).unwrap_or_default()
    };
    let read = BlueGreen {
        preview: fields.get("preview").map_or(default.preview, |node| preview(node, reporter)),
        auto_promotion_enabled: fields
            .get("autoPromotionEnabled")
            .and_then(|node| scalar::boolean(node, "autoPromotionEnabled", reporter))
            .unwrap_or(default.auto_promotion_enabled),
        auto_promotion: fields
            .get("autoPromotionSeconds")
            .and_then(|node| scalar::seconds(node, "autoPromotionSeconds", 0, reporter)),
        switch_at: fields.get("switchAt").and_then(|node| duration::instant(node, "switchAt", reporter)),
        pre_promotion_analysis: templates("prePromotionAnalysis", reporter),
        post_promotion_analysis: templates("postPromotionAnalysis", reporter),
        scale_down_delay: fields
            .get("scaleDownDelaySeconds")
            .and_then(|node| scalar::seconds(node, "scaleDownDelaySeconds", 0, reporter))
            .unwrap_or(default.scale_down_delay),
    };
    if let Some(entry) = fields.entry("autoPromotionSeconds").filter(|_| !read.auto_promotion_enabled) {
        let message = "autoPromotionSeconds has no effect beside autoPromotionEnabled: false";
        reporter.warning(entry.position, message, "autoPromotionSeconds", None);
    }
    read
}

fn preview(node: &Node, reporter: &mut Reporter) -> Vec<HeaderMatch> {
    let Some(fields) = Fields::read(node, "preview", &["match"], reporter) else { return Vec::new() };
    let why = "it says who sees the new version before the switch";
    let Some(node) = required(&fields, "preview.match", why, reporter) else { return Vec::new() };
    let errors = reporter.errors();
    let matches = header::matches(node, "preview.match", reporter);
    if matches.is_empty() && reporter.errors() == errors {
        let help = Some("leave preview out if nobody is to see the new version before the switch".to_owned());
        reporter.error(node.position, "preview.match has no condition", node.found(), help);
    }
    matches
}
