//! Builds the client for browsers into the server, unless the feature `web-client` is off.

#[cfg(feature = "web-client")]
mod compile;
#[cfg(feature = "web-client")]
mod embed;

fn main() {
    println!("cargo::rerun-if-changed=build");
    #[cfg(feature = "web-client")]
    if let Err(error) = web_client() {
        println!("cargo::error={error:#}");
        std::process::exit(1);
    }
}

/// Compiles, binds to JavaScript, packs and hands over to `src/http/web_client.rs`.
#[cfg(feature = "web-client")]
fn web_client() -> anyhow::Result<()> {
    let root = compile::folder("CARGO_MANIFEST_DIR")?;
    let out = compile::folder("OUT_DIR")?;
    let compiled = compile::compile(&root, &out)?;
    let scripts = root.join("web-client");
    let mut files = embed::bind(&compiled.wasm, &out.join("bound"))?;
    files.extend(embed::read(&scripts)?);
    embed::embed(files, &out)?;

    // Only what goes into the client: whoever works on the server alone never waits for it.
    for path in compiled.sources.iter().chain([&scripts]) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}
