//! `weft data info` and `weft data set`: what a dataset is, and saying it.

use super::name::Named;
use super::put::files;
use super::requests::days;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, age, clock, count, err_line, when};
use clap::Args;
use std::str::FromStr as _;
use weft_api::wire::{
    AskLower, ColumnProfile, Dataset, DatasetView, FrequentValue, KeepDays, UpdateDataset,
};
use weft_client::{Intent, ObjectQuery};
use weft_types::{Bytes, Tier};

/// Show what a dataset is: size, tier, owner, newest version; or the columns of a table
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data info claims
  weft data info claims@v3:raw/a.csv    its columns: types, empty values, ranges")]
pub(crate) struct Info {
    /// Dataset; behind a colon a table of it
    #[arg(value_name = "DATASET[@VERSION][:PATH]")]
    what: Named,
}

/// Say what a dataset is about, or raise its tier
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data set claims --about 'claims of 2019 to 2026, one row each'
  weft data set claims --tier confidential
  weft data set claims --keep 30d
  weft data set claims --keep 3d --why 'full of test data'
  weft data set claims-adults --tier internal --why 'no names, no places'

A tier is raised, and never lowered; only that of a view is, when another person has agreed. What
ended is kept longer at once; shorter after the team's lead or an administrator has agreed, and then
as many days as before have passed.")]
pub(crate) struct Set {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
    /// What it is, for people
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// A tier above the one it has; of a view also one below, which is asked for
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// How long what was deleted, written over or removed is kept
    #[arg(long, value_name = "DAYS", value_parser = days)]
    keep: Option<u32>,
    /// Why it is to be kept shorter, or a view is less sensitive, for who decides
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

impl Info {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        if self.what.path.is_some() {
            return self.table(session).await;
        }
        self.what.now("shown of")?;
        let set = session.client()?.dataset(&self.what.dataset).await?;
        tell(&set, session);
        Ok(Code::Done.number())
    }
}

impl Info {
    async fn table(&self, session: &Session) -> Outcome {
        let (client, path) = (session.client()?, self.what.prefix());
        let at = self.what.at.clone();
        let which = ObjectQuery { at, prefix: path.to_owned(), notes: true, folders: false };
        let page = client.objects(&self.what.dataset, &which, None).await?;
        let Some(object) = page.items.into_iter().find(|object| object.path == path) else {
            return Err(Failure::new(
                Code::NotFound,
                format!("there is no `{path}` in {}", self.what),
            )
            .hint(format!("`weft data ls {}` shows what there is", self.what)));
        };
        if session.json {
            show::json(&object);
            return Ok(Code::Done.number());
        }
        let put = when(object.at_ms);
        show::out_line(&format!("{}:{path}  {}, put {put}", self.what, Bytes(object.bytes)));
        let Some(table) = object.profile else {
            err_line(
                "no columns are known of it: CSV, TSV, JSON lines and Parquet are looked into",
            );
            return Ok(Code::Done.number());
        };
        let mut shown =
            Table::new(&["COLUMN", "TYPE", ">EMPTY", ">DISTINCT", ">LEAST", ">MOST", "VALUES"]);
        let number = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
        for column in table.columns {
            let values = values(&column, table.rows);
            let (least, most) = (number(column.least), number(column.most));
            let (empty, distinct) = (count(column.empty), count(column.distinct));
            shown.row([column.name, column.kind, empty, distinct, least, most, values]);
        }
        show::out(&shown.render());
        let of = if table.whole { "all" } else { "its first" };
        err_line(&format!("{}, {of} {} rows", table.format, count(table.rows)));
        Ok(Code::Done.number())
    }
}

/// How a column's values lie, in one line: bars from the least to the most, or frequent texts.
fn values(column: &ColumnProfile, rows: u64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = column.tenths.iter().max().copied().unwrap_or_default().max(1);
    let bar = |count: &u64| match count {
        0 => ' ',
        count => BARS[(count * 8).div_ceil(most) as usize - 1],
    };
    let there = (rows - column.empty.min(rows)).max(1);
    let text = |value: &FrequentValue| {
        let percent = (value.rows * 100 + there / 2) / there;
        format!("{} {percent} %", value.value.escape_debug())
    };
    match column.frequent.as_slice() {
        [] => column.tenths.iter().map(bar).collect(),
        frequent => frequent.iter().take(3).map(text).collect::<Vec<_>>().join(", "),
    }
}

impl Set {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("what is said")?;
        self.what.now("said of")?;
        let said = self.about.is_some() || self.tier.is_some();
        if !said && self.keep.is_none() {
            let hint = "give --about, --tier or --keep";
            return Err(Failure::usage("nothing is to be said").hint(hint));
        }
        let (client, name) = (session.client()?, &self.what.dataset);
        if let Some(days) = self.keep {
            let keep = KeepDays { days, why: self.why.clone().unwrap_or_default() };
            let kept = client.keep_days(name, &keep, &Intent::new()).await?;
            if let Some(asked) = kept.request {
                err_line(&format!(
                    "{name} keeps what ended {} days; fewer is request {}: the team's lead or an \
                     administrator has to approve it",
                    kept.days, asked.id
                ));
            }
        }
        if self.keep.is_none() && self.why.is_some() && self.tier.is_none() {
            return Err(Failure::usage("--why is for --keep, and for the tier of a view"));
        }
        let mut tier = self.tier;
        if let (Some(why), Some(wanted)) = (&self.why, &tier)
            && self.keep.is_none()
            && is_below(wanted, &client.dataset(name).await?.tier)
        {
            let ask = AskLower { tier: wanted.clone(), why: why.clone() };
            let asked = client.lower(name, &ask, &Intent::new()).await?;
            err_line(&format!(
                "{name} is {wanted} once another has agreed to request {}: `weft data requests`",
                asked.id
            ));
            tier = None;
        }
        let said = self.about.is_some() || tier.is_some();
        let update = UpdateDataset { about: self.about, tier };
        let set = match said {
            true => client.update_dataset(name, &update, &Intent::new()).await?,
            false => client.dataset(name).await?,
        };
        tell(&set, session);
        Ok(Code::Done.number())
    }
}

fn is_below(wanted: &str, tier: &str) -> bool {
    let tiers = Tier::from_str(wanted).ok().zip(Tier::from_str(tier).ok());
    tiers.is_some_and(|(wanted, tier)| wanted < tier)
}

/// What a dataset is a view of, and what became of that's versions.
fn of_view(view: &DatasetView) -> Vec<(&'static str, String)> {
    let of = view.of.as_deref().unwrap_or("a dataset that is not yours to see");
    let files = view.files.as_ref().map(|files| format!(", its files {files}"));
    let mut lines = vec![("view", format!("of {of}{}, by {}", files.unwrap_or_default(), view.by))];
    if let Some(recipe) = &view.recipe {
        lines.push(("recipe", recipe.to_string()));
    }
    for version in &view.versions {
        let of = version.of;
        lines.push(match version.version {
            Some(made) => ("of", format!("v{of} is v{made}{}", left_out(version.left_out))),
            None if version.why.is_empty() => ("of", format!("v{of} waits to be made")),
            None => ("of", format!("v{of} waits: {}", version.why)),
        });
        let files = version.files.iter().take(LEFT_OUT_SHOWN);
        lines.extend(files.map(|file| ("without", format!("{}: {}", file.path, file.why))));
    }
    lines
}

fn left_out(count: u64) -> String {
    if count == 0 { String::new() } else { format!(", without {}", files(count)) }
}

/// Files that are named as left out of one version; `--json` has more.
const LEFT_OUT_SHOWN: usize = 10;

fn tell(set: &Dataset, session: &Session) {
    if session.json {
        show::json(set);
        return;
    }
    let now = clock();
    let version = match set.version_at_ms {
        None => "none yet: `weft data put` makes them".to_owned(),
        Some(at) => {
            let since = if set.changed { "; something came since" } else { "" };
            format!("v{}, made {} ago{since}", set.versions, age(at, now))
        }
    };
    let tier = match set.tier.as_str() {
        "public" => "for anybody",
        "internal" => "for everybody who works here",
        "confidential" => "for its team, in runs only",
        _ => "for its owner, in runs only",
    };
    let mut lines = vec![
        ("tier", format!("{}: {tier}", set.tier)),
        ("owner", format!("{}, of {}", set.owner, set.queue)),
        ("size", format!("{}, {}", Bytes(set.bytes), files(set.objects))),
        ("version", version),
        ("made", when(set.created_at_ms)),
        ("keeps", format!("what was deleted or removed, {} days", set.keep_days)),
    ];
    if let Some(put) = set.put_at_ms {
        lines.insert(4, ("newest", format!("put {} ago", age(put, now))));
    }
    for grant in &set.grants {
        let (to, by, until) = (&grant.user, &grant.by, when(grant.until_ms));
        lines.push(("access", format!("{to}, until {until}, by {by}")));
    }
    lines.extend(set.view.iter().flat_map(of_view));
    if let Some(branch) = &set.branch {
        let of = branch.of.as_deref().unwrap_or("a dataset that is not yours to see");
        lines.push(("branch", format!("of {of}@v{}", branch.version)));
    }
    if !set.branches.is_empty() {
        lines.push(("branches", set.branches.join(", ")));
    }
    if !set.views.is_empty() {
        lines.push(("views", set.views.join(", ")));
    }
    if !set.about.is_empty() {
        lines.insert(0, ("about", set.about.clone()));
    }
    show::out_line(&set.name);
    for (name, value) in lines {
        show::out_line(&format!("  {name:<8} {}", show::one_line(&value)));
    }
}
