//! The bootstrap of a gRPC client: <https://github.com/grpc/proposal/blob/master/A27-xds-global-load-balancing.md>.

use serde_json::{Value, json};

use super::BootstrapArgs;

/// gRPC speaks state of the world only, and finds `xds:///NAME` by the listener called NAME.
pub(super) fn bootstrap(args: &BootstrapArgs) -> Value {
    json!({
        "xds_servers": [{
            "server_uri": args.xds.to_string(),
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }],
        "node": args.node(),
    })
}
