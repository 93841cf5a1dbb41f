//! `tidegate plugin inspect`: what a component is, needs and costs.

use serde_json::{Value, json};

use crate::project::Project;

const REACH: &str = "component: reach.wasm\nbuild: cargo build --release --target wasm32-wasip2\n";

fn inspected(project: &Project, what: &str) -> Value {
    let output = project.run(&["plugin", "inspect", what, "--format", "json"]);
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()))
}

#[test]
fn plugin_inspect_says_what_a_plugin_is_needs_and_costs() {
    let project = Project::new().with_plugin("ping");
    shown!(project.run(&["plugin", "inspect", "ping"]));
    let told = inspected(&project, "ping");
    assert_eq!((&told["ok"], &told["kinds"]), (&json!(true), &json!(["handler"])));
    for figure in ["bytes", "compiled_bytes", "compile_us"] {
        assert!(told[figure].as_f64().unwrap() > 1000.0, "{figure} of {told}");
    }
    assert!(told["instance"]["memory_bytes"].as_u64().unwrap() >= 64 << 10, "{told}");
    assert!(told["instance"]["fresh_us"].as_f64().unwrap() > 0.0, "{told}");
    assert!(told["pool"]["core_instances"].as_u64().unwrap() >= 1, "{told}");
}

#[test]
fn plugin_inspect_says_which_grants_the_imports_need() {
    let project = Project::new().with_guest("reach", REACH);
    shown!(project.run(&["plugin", "inspect", "reach"]));
    let granted = format!("{REACH}grants: {{ secrets: [API_TOKEN] }}\n");
    let project = project.write("plugins/reach/plugin.yaml", &granted);
    let told = inspected(&project, "reach");
    let of_secrets = |told: &Value| {
        let imports = told["imports"].as_array().unwrap();
        let is_secrets = |import: &&Value| import["import"].as_str().unwrap().starts_with("tidegate:host/secrets");
        imports.iter().find(is_secrets).unwrap()["standing"].clone()
    };
    assert_eq!(of_secrets(&told), "granted");
    // No `plugin.yaml` belongs to a file, so that it lacks no grant and is no mistake.
    let told = inspected(&project, "plugins/reach/reach.wasm");
    assert_eq!((of_secrets(&told), &told["ok"]), (json!("not_granted"), &json!(true)));
}

#[test]
fn plugin_inspect_says_what_is_wrong_with_a_file_that_is_no_plugin() {
    let another_version = r#"(component (instance $i) (export "tidegate:plugin/handler@0.4.0" (instance $i)))"#;
    let project = Project::empty()
        .write_bytes("zeros.wasm", &[0; 1 << 16])
        .write_bytes("module.wasm", b"\0asm\x01\0\0\0")
        .write_bytes("broken.wasm", b"\0asm\x0d\0\x01\0\x07\xff")
        .write_bytes("version.wasm", &wat::parse_str(another_version).unwrap());
    let said = ["zeros", "module", "broken", "version", "none"]
        .map(|name| project.run(&["plugin", "inspect", &format!("{name}.wasm")]).shown());
    shown!("plugin_inspect_says_what_is_wrong_with_a_file_that_is_no_plugin", said.join("\n"));
    let told = inspected(&project, "zeros.wasm");
    assert_eq!(told["mistakes"][0]["message"], "component `zeros.wasm`: is not WebAssembly");
}
