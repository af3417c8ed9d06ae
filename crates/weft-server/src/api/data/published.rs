//! What a submission is to leave in datasets: whether its user may write there, from a run that has
//! read what it declares. It is asked again when it has ended: see `publish`.

use super::super::call::Call;
use super::super::fault::Fault;
use super::super::guard::{of_dataset, row_of};
use super::super::spec::Legal;
use crate::publish::{Asked, read_of};
use std::collections::BTreeSet;
use std::sync::Arc;
use weft_api::problem::{Code, Problem};
use weft_policy::{Decision, Principal, Source, Verb};
use weft_store::Read;

/// Refuses what could not be published as things are.
pub(crate) async fn check(call: &Call, legal: &Legal) -> Result<(), Fault> {
    if legal.spec.publish.is_empty() {
        return Ok(());
    }
    let carries = crate::auth::run::carries(&legal.spec.data);
    let who = Principal { by: Source::Run, carries, ..call.who.principal.clone() };
    let (spec, now) = (legal.spec.clone(), call.now);
    let inputs = call.app.store.read(move |r| read_of(r, &spec, now)).await?;
    let asked = Asked::of(who, inputs);
    let mut taken = BTreeSet::new();
    for (n, (_, name)) in legal.published()?.into_iter().enumerate() {
        let field = format!("spec.publish[{n}].to");
        if !taken.insert(name.clone()) {
            let detail = format!("outputs: `{name}` is named twice: a version is of one entry");
            let hint = "write a pattern that names both, or another dataset";
            return Err(Problem::new(Code::InvalidSpec, detail).hint(hint).field(field).into());
        }
        let read = {
            let name = name.clone();
            move |r: &Read<'_>| r.dataset(&name)
        };
        let there = call.app.store.read(read).await?;
        let Err((verb, policies, why)) = asked.decide(&call.app, &legal.queue, there.as_ref())
        else {
            continue;
        };
        let mut detail = format!("{} may not write to the dataset `{name}`", call.user());
        let mut hint = why;
        if let Some(there) = &there {
            let (allow, rule) = (false, Arc::from(hint.as_str()));
            let decision = Decision { allow, policies: policies.into(), rule };
            call.app.refusals.note(row_of(call, verb, there, &decision)).await?;
            let sees = call.app.decide(&call.who.principal, Verb::DataInfo, of_dataset(there));
            if !sees.allow {
                // As somebody is told who makes one of that name.
                detail = format!("there is a dataset `{name}` already");
                hint = "choose another name".to_owned();
            }
        }
        return Err(Problem::new(Code::Forbidden, detail).hint(hint).field(field).into());
    }
    Ok(())
}
