//! Messages to canonical bytes.

use std::fmt::Write as _;

use serin::spec::{canonical, parse_file};

use crate::claim::{Claim, Claims};

/// A resource is encoded in time that grows as its size does: what is sorted is sorted field by field, and never the
/// whole.
const SIZE: Claim = Claim { name: "encode routes", sizes: [10, 1_000], most: 150.0 };

pub(crate) fn bench(claims: &mut Claims) {
    claims.check(&SIZE, |count| {
        let mut text = String::from(
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n  name: routes\n  \
             virtual_hosts:\n",
        );
        for host in 0..count {
            let route = format!("{{match: {{prefix: /}}, route: {{cluster: service-{host}, timeout: 15s}}}}");
            // Writing to a string does not fail.
            let _ = writeln!(text, "  - {{name: host-{host}, domains: [host-{host}], routes: [{route}]}}");
        }
        let (file, _) = parse_file(&"routes.yaml".into(), &text);
        move || file.resources.iter().map(|resource| canonical::encode(&resource.message).len()).sum::<usize>()
    });
}
