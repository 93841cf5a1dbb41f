//! `tidegate plugin inspect`: what a component exports, imports, needs and costs.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::{self, Failure};
use super::super::load::Load;
use super::super::show;
use super::super::{Answer, Format, complain, exit};
use super::choose;
use crate::reload;
use tidegate_core::channels::PluginKind;
use tidegate_wasm::{Inspection, InstanceCost, Needs, Standing};

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The plugin: its name, its directory (with a `/`), or the file of a component
    #[arg(value_name = "NAME|DIR|FILE.wasm")]
    what: String,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

impl Inspect {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let host = choose::inspecting_host()?;
        let path = Path::new(&self.what);
        // A plugin's name has no extension, and a directory is not a file.
        let is_file = path.extension().is_some_and(|extension| extension == "wasm") || path.is_file();
        let inspected = if is_file {
            let read = reload::read_component_file(path);
            let component = read.map_err(|source| Failure::File { path: self.what.clone(), source })?;
            host.inspect_component(&self.what, component).await
        } else {
            let directory = choose::one(&self.load, &self.what, plugins)?;
            host.inspect(reload::read_plugin(&directory.path).map_err(Failure::Mistakes)?).await
        };
        let inspection = match (inspected, self.format) {
            (Ok(inspection), _) => inspection,
            (Err(mistakes), Format::Text) => {
                complain(&failure::render(&mistakes));
                return Ok(Answer { text: String::new(), exit: exit::PLUGIN });
            }
            (Err(mistakes), Format::Json) => {
                let answer = Answer::json(&json!({ "ok": false, "mistakes": failure::to_json(&mistakes) }));
                return Ok(Answer { exit: exit::PLUGIN, ..answer });
            }
        };
        let mistakes: Vec<_> = inspection.mistake.clone().into_iter().collect();
        let answer = match self.format {
            Format::Text => {
                if !mistakes.is_empty() {
                    complain(&failure::render(&mistakes));
                }
                Answer::ok(text(&inspection))
            }
            Format::Json => Answer::json(&to_json(&inspection)),
        };
        Ok(if mistakes.is_empty() { answer } else { Answer { exit: exit::PLUGIN, ..answer } })
    }
}

fn text(inspection: &Inspection) -> String {
    let bytes = |count: usize| show::bytes(u64::try_from(count).unwrap_or(u64::MAX));
    let kinds: Vec<&str> = inspection.kinds.iter().map(PluginKind::as_str).collect();
    let compile = show::duration(inspection.compile);
    let mut rows = vec![
        ["exports", &kinds.join(", ")].map(str::to_owned),
        ["component", inspection.digest.as_str()].map(str::to_owned),
        ["size", &bytes(inspection.component_bytes)].map(str::to_owned),
        ["compiled", &format!("{} in {compile}", bytes(inspection.native_bytes))].map(str::to_owned),
    ];
    let cost = inspection.instance;
    rows.push(["pool".to_owned(), pool(inspection.needs, cost.and_then(|cost| cost.core_instances))]);
    if let Some(InstanceCost { memory_bytes, first, fresh, .. }) = cost {
        let (first, fresh) = (show::duration(first), show::duration(fresh));
        let memory = format!("{} of memory, made in {fresh}, the first in {first}", bytes(memory_bytes));
        rows.push(["instance".to_owned(), memory]);
    }
    // WASI's many interfaces are shown as one: all of them are empty.
    let (wasi, ours): (Vec<_>, Vec<_>) =
        inspection.imports.iter().partition(|(_, standing)| *standing == Standing::Empty);
    let mut imports = vec![["IMPORT", "GRANT"].map(str::to_owned)];
    imports.extend(ours.iter().map(|(import, standing)| [import.clone(), in_words(*standing)]));
    if !wasi.is_empty() {
        imports.push([format!("wasi, {}", counted(wasi.len(), "interface", "interfaces")), in_words(Standing::Empty)]);
    }
    show::table(rows) + "\n" + &show::table(imports)
}

fn counted<N: std::fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

fn pool(needs: Option<Needs>, core_instances: Option<u64>) -> String {
    let mut parts = Vec::new();
    parts.extend(core_instances.map(|count| counted(count, "core instance", "core instances")));
    match needs {
        Some(needs) => {
            parts.push(counted(needs.memories, "memory", "memories"));
            parts.push(counted(needs.tables, "table", "tables"));
        }
        None => parts.push("depends on modules that it imports".to_owned()),
    }
    parts.join(", ")
}

fn in_words(standing: Standing) -> String {
    match standing {
        Standing::Everyone => "none needed".to_owned(),
        Standing::Empty => "none needed, each of them is empty".to_owned(),
        Standing::Granted { grant } => format!("`{grant}`, granted"),
        Standing::NotGranted { grant, line } => format!("`{grant}`, not granted: `{line}`"),
        Standing::Nobody => "the server does not offer it".to_owned(),
    }
}

fn to_json(inspection: &Inspection) -> Value {
    let micros = |duration: std::time::Duration| duration.as_secs_f64() * 1e6;
    let imports = inspection.imports.iter().map(|(import, standing)| {
        let (word, grant) = match *standing {
            Standing::Everyone => ("everyone", None),
            Standing::Empty => ("empty", None),
            Standing::Granted { grant } => ("granted", Some(grant)),
            Standing::NotGranted { grant, .. } => ("not_granted", Some(grant)),
            Standing::Nobody => ("nobody", None),
        };
        json!({ "import": import, "standing": word, "grant": grant })
    });
    let needs = inspection.needs.map(|needs| {
        json!({
            "core_instances": inspection.instance.and_then(|cost| cost.core_instances),
            "memories": needs.memories,
            "tables": needs.tables,
            "memory_bytes_initial": needs.memory_bytes_initial,
            "table_elements_initial": needs.table_elements_initial,
        })
    });
    let instance = inspection.instance.map(|cost| {
        json!({ "memory_bytes": cost.memory_bytes, "first_us": micros(cost.first), "fresh_us": micros(cost.fresh) })
    });
    json!({
        "ok": inspection.mistake.is_none(),
        "kinds": inspection.kinds.iter().map(PluginKind::as_str).collect::<Vec<_>>(),
        "digest": inspection.digest.as_str(),
        "bytes": inspection.component_bytes,
        "compiled_bytes": inspection.native_bytes,
        "compile_us": micros(inspection.compile),
        "imports": imports.collect::<Vec<_>>(),
        "pool": needs,
        "instance": instance,
        "mistakes": failure::to_json(inspection.mistake.as_slice()),
    })
}
