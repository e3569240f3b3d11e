//! Build-time products: the slim messages and services of `proto/`, and the descriptor set of the whole
//! Envoy API: what the `envoy-types` package ships, without the comments it carries, and the messages of `proto/extra`.

#![expect(clippy::disallowed_methods, reason = "cargo speaks to a build script through its environment")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message;
use prost_types::FileDescriptorSet;
use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, IncludeFileResolver};

const PROTOS: [&str; 7] = [
    "discovery.proto",
    "cluster.proto",
    "endpoint.proto",
    "listener.proto",
    "route.proto",
    "load_stats.proto",
    "metrics.proto",
];

/// Messages whose `bytes` are slices of what was received.
const SLICED: [&str; 4] =
    [".google.protobuf.Any", ".envoy.service.load_stats.v3", ".envoy.service.metrics.v3", ".io.prometheus.client"];

/// What Envoy reads only inside an `Any`: nothing in its API imports it, so it is not in the set of `envoy-types`.
const EXTRA: [&str; 3] = ["udpa/type/v1/extra.proto", "xds/type/v3/extra.proto", "xds/type/matcher/v3/extra.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=Cargo.lock");

    let discovery = protox::compile(PROTOS, ["proto"])?;
    SLICED
        .into_iter()
        .fold(tonic_prost_build::configure(), tonic_prost_build::Builder::bytes)
        .build_client(true)
        .extern_path(".google.protobuf.Duration", "::prost_types::Duration")
        .extern_path(".google.protobuf.Struct", "::prost_types::Struct")
        .extern_path(".google.protobuf.Value", "::prost_types::Value")
        .extern_path(".google.protobuf.ListValue", "::prost_types::ListValue")
        .extern_path(".google.protobuf.NullValue", "::prost_types::NullValue")
        .compile_well_known_types(true)
        .btree_map(".")
        .include_file("discovery.rs")
        .compile_fds(discovery)?;

    let mut envoy = FileDescriptorSet::decode(&*std::fs::read(envoy_types()?.join("src/generated/types.bin"))?)?;
    for file in &mut envoy.file {
        file.source_code_info = None;
    }
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new("proto/extra".into()));
    resolver.add(DescriptorSetFileResolver::new(envoy.clone()));
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.open_files(EXTRA)?;
    envoy.file.extend(compiler.file_descriptor_set().file);
    std::fs::write(out.join("envoy.bin"), envoy.encode_to_vec())?;
    Ok(())
}

/// Where cargo unpacked the `envoy-types` package that this build links.
fn envoy_types() -> Result<PathBuf, Box<dyn Error>> {
    // Only this platform's packages are sure to be on disk: what is needed has been fetched, and nothing more is.
    let output = Command::new(std::env::var("CARGO")?)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &std::env::var("TARGET")?])
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "envoy-types"))
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata does not name the envoy-types package")?;
    Ok(Path::new(manifest).parent().ok_or("the manifest of envoy-types has no folder")?.to_path_buf())
}
