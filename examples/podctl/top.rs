//! `top`: what pods use, between two looks at them.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use podlife::Node;
use podlife::node::{NodeHandle, PodId, Usage};

use crate::server::ask;
use crate::verbs::named;
use crate::wire::Request;

const BETWEEN: Duration = Duration::from_secs(1);

type Looks = BTreeMap<PodId, (String, Usage)>;

pub(crate) fn pods(handle: &NodeHandle, request: &Request) -> podlife::Result<String> {
    let (before, after) = (request.clone(), request.clone());
    let before = ask(handle, move |node| look(node, &before))?;
    sleep(BETWEEN);
    let after = ask(handle, move |node| look(node, &after))?;
    let mut text = format!("{:<24}   {:<10}   MEMORY(bytes)\n", "NAME", "CPU(cores)");
    for (id, (name, now)) in &after {
        let earlier = before.get(id).and_then(|(_, usage)| usage.cpu);
        let unknown = || "<unknown>".to_owned();
        let cpu = now.cpu.zip(earlier).map(|(now, earlier)| {
            let used = now.usage.saturating_sub(earlier.usage);
            format!(
                "{}m",
                (used.as_secs_f64() / BETWEEN.as_secs_f64() * 1000.0).round()
            )
        });
        let memory = now.memory.as_ref();
        let memory = memory.map(|memory| format!("{}Mi", memory.working_set() >> 20));
        let (cpu, memory) = (cpu.unwrap_or_else(unknown), memory.unwrap_or_else(unknown));
        text.push_str(&format!("{name:<24}   {cpu:<10}   {memory}\n"));
    }
    Ok(text)
}

fn look(node: &Node, request: &Request) -> podlife::Result<Looks> {
    let ids: Vec<(PodId, String)> = match request.pods().next() {
        None => node
            .pods()
            .map(|pod| (pod.id(), pod.name().to_owned()))
            .collect(),
        Some(_) => {
            let one = |name: &str| Ok((named(node, request, name)?.id(), name.to_owned()));
            request.pods().map(one).collect::<podlife::Result<_>>()?
        }
    };
    let looks = ids
        .into_iter()
        .map(|(id, name)| Ok((id, (name, node.stats(id)?.usage))));
    looks.collect()
}
