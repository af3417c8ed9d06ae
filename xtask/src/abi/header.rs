//! Reads what the driver's public headers declare: every function, in every revision.
//!
//! `cudaTypedefs.h` has one type per revision of a function, named `PFN_<function>_v<since>`, and
//! with `_ptds` or `_ptsz` behind it where the default stream is the calling thread's. The symbols
//! a driver exports follow from it: revisions in ascending order are `name`, `name_v2`, `name_v3`,
//! and the thread's form is the symbol of the newest revision at its time, and the ending. Absent
//! on purpose: structures' layouts.

use std::collections::BTreeMap;

/// A function of the driver in one revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Revision {
    /// As asked of `cuGetProcAddress`.
    pub(crate) name: String,
    /// The first version that has it, 1000 × major + 10 × minor.
    pub(crate) since: u32,
    /// `_ptds` or `_ptsz` for the calling thread's default stream, else empty.
    pub(crate) ending: String,
    /// What the driver exports it as.
    pub(crate) symbol: String,
    /// One letter for each parameter, [`letter`].
    pub(crate) parameters: String,
}

/// The version of a function whose type says none: a slip of the headers of 12.x, which those of
/// 13.x mend.
const UNSAID: u32 = 0;

/// What a C type is to a call: how many bits, and whether an address.
type Types = BTreeMap<String, char>;

/// Every revision that the two headers declare.
///
/// # Errors
/// A parameter of a type that the headers do not define.
pub(crate) fn revisions(cuda: &str, typedefs: &str) -> Result<Vec<Revision>, String> {
    let types = types(cuda, typedefs);
    let mut found = Vec::new();
    for statement in statements(typedefs) {
        let Some((_, rest)) = statement.split_once("*PFN_") else { continue };
        let Some((function, parameters)) = rest.split_once(')') else { continue };
        let (name, since, ending) = revision(function).unwrap_or((function, UNSAID, ""));
        let letters: Result<String, _> = list(parameters).map(|p| letter(p, &types)).collect();
        let parameters = letters.map_err(|kind| format!("{function}: type `{kind}` is unknown"))?;
        let (name, ending) = (name.to_owned(), ending.to_owned());
        found.push(Revision { name, since, ending, symbol: String::new(), parameters });
    }
    Ok(found)
}

/// All headers' revisions as one list with the symbols: an older header lacks the newer revisions,
/// and a newer one those that were dropped.
///
/// # Errors
/// A revision that two headers declare differently, or one of which none says since when it is.
pub(crate) fn merge(mut revisions: Vec<Revision>) -> Result<Vec<Revision>, String> {
    revisions.sort();
    revisions.dedup();
    let said =
        |name: &str, all: &[Revision]| all.iter().any(|r| r.name == name && r.since > UNSAID);
    if let Some(lost) = revisions.iter().find(|r| r.since == UNSAID && !said(&r.name, &revisions)) {
        return Err(format!("no header says since when there is `{}`", lost.name));
    }
    revisions.retain(|revision| revision.since > UNSAID);
    let key = |r: &Revision| (r.name.clone(), r.since, r.ending.clone());
    if let Some(pair) = revisions.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        return Err(format!("two headers differ: {pair:?}"));
    }
    let mut versions = BTreeMap::<String, Vec<u32>>::new();
    for revision in revisions.iter().filter(|revision| revision.ending.is_empty()) {
        versions.entry(revision.name.clone()).or_default().push(revision.since);
    }
    for revision in &mut revisions {
        let all = versions.get(&revision.name).map_or(&[][..], Vec::as_slice);
        let rank = all.iter().filter(|since| **since <= revision.since).count();
        let number = if rank > 1 { format!("_v{rank}") } else { String::new() };
        revision.symbol = format!("{}{number}{}", revision.name, revision.ending);
    }
    Ok(revisions)
}

/// The symbols that NVML's header declares.
pub(crate) fn management(header: &str) -> Vec<String> {
    let text = plain(header);
    let declared = text.split("DECLDIR").skip(1).filter_map(|rest| rest.split('(').next());
    let names = declared.filter_map(|head| head.split([' ', '*']).rfind(|word| !word.is_empty()));
    names.filter(|name| name.starts_with("nvml")).map(str::to_owned).collect()
}

/// `cuMemcpyHtoD_v7000_ptds` is `cuMemcpyHtoD` since 7000 with the ending `_ptds`.
fn revision(function: &str) -> Option<(&str, u32, &str)> {
    let at = function.rfind("_pt").filter(|at| function.len() - at == 5);
    let (plain, ending) = function.split_at(at.unwrap_or(function.len()));
    let (name, since) = plain.rsplit_once("_v")?;
    Some((name, since.parse().ok()?, ending))
}

/// The parameters between the outermost brackets.
fn list(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.trim().trim_start_matches('(').trim_end_matches(')');
    inner.split(',').map(str::trim).filter(|p| !p.is_empty() && *p != "void")
}

/// `p` an address, `h` a handle or a callback, `l` 64 bits, `w` 32 bits or fewer, `f` a float, `m`
/// a structure by value.
fn letter(parameter: &str, types: &Types) -> Result<char, String> {
    if parameter.contains(['*', '[']) {
        return Ok('p');
    }
    let words: Vec<&str> = parameter.split_whitespace().filter(|w| *w != "const").collect();
    let scalar = |words: &[&str]| scalar(words).or_else(|| types.get(*words.last()?).copied());
    let named = words.len().saturating_sub(1).max(1);
    scalar(&words[..named]).ok_or_else(|| parameter.to_owned())
}

/// The letter of a type of the language itself.
fn scalar(words: &[&str]) -> Option<char> {
    let has = |word: &str| words.contains(&word);
    let long = words.iter().filter(|word| **word == "long").count();
    match () {
        () if long > 0 || has("size_t") || has("uint64_t") => Some('l'),
        () if has("float") => Some('f'),
        () if ["int", "unsigned", "char", "short", "uint32_t"].iter().any(|w| has(w)) => Some('w'),
        () => None,
    }
}

/// The types that the headers define.
fn types(cuda: &str, typedefs: &str) -> Types {
    let mut types = Types::new();
    for statement in statements(cuda).into_iter().chain(statements(typedefs)) {
        let Some(definition) = statement.trim().strip_prefix("typedef ") else { continue };
        if let Some((name, letter)) = definition_of(definition, &types) {
            types.entry(name.to_owned()).or_insert(letter);
        }
    }
    types
}

/// The name that a `typedef` makes, and its letter.
fn definition_of<'a>(definition: &'a str, types: &Types) -> Option<(&'a str, char)> {
    if let Some((_, rest)) = definition.split_once('*').filter(|(head, _)| head.contains('(')) {
        return Some((rest.split(')').next()?.trim(), 'h'));
    }
    let start = definition.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')? + 1;
    let (kind, name) = (definition[..start].trim(), &definition[start..]);
    let words: Vec<&str> = kind.split_whitespace().collect();
    let letter = match *words.first()? {
        _ if kind.ends_with('*') => 'h',
        "enum" => 'w',
        "struct" | "union" => 'm',
        _ => scalar(&words).or_else(|| types.get(*words.last()?).copied())?,
    };
    Some((name, letter))
}

/// The declarations of a header, without comments and the preprocessor's lines.
fn statements(header: &str) -> Vec<String> {
    let (mut found, mut statement, mut depth) = (Vec::new(), String::new(), 0u32);
    for c in plain(header).chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => {
                found.push(std::mem::take(&mut statement).trim().to_owned());
                continue;
            }
            _ => {}
        }
        statement.push(c);
    }
    found
}

/// A header without comments, the preprocessor's lines and the bracket around C declarations.
fn plain(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("/*") {
        text.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let (mut lines, mut goes_on) = (String::new(), false);
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or(line).trim();
        let directive = goes_on || line.starts_with('#');
        goes_on = directive && line.ends_with('\\');
        if !directive && !line.starts_with("extern \"C\"") && line != "}" {
            lines.push_str(line);
            lines.push(' ');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUDA: &str = "
        #define LONG \\
            } ;
        extern \"C\" {
        /* typedef int no; */
        typedef unsigned long long CUaddress_v2; // now
        typedef CUaddress_v2 CUaddress;
        typedef enum CUkind_enum { A = 1, B } CUkind;
        typedef struct CUstream_st *CUstream;
        typedef struct CUdata_st { char bytes[64]; } CUdata;
        typedef void (CUDA_CB *CUcall)(void *data);
        }";

    const TYPEDEFS: &str = "
        typedef CUresult (CUDAAPI *PFN_cuCopy_v3020)(CUaddress_v2 to, const void *from, size_t n);
        typedef CUresult (CUDAAPI *PFN_cuCopy_v2000)(unsigned int to, const void *from, int);
        typedef CUresult (CUDAAPI *PFN_cuCopy_v7000_ptds)(CUaddress to, const void *from, size_t n);
        typedef CUresult (CUDAAPI *PFN_cuWait_v2000)(void);
        typedef CUresult (CUDAAPI *PFN_cuDo_v4000)(CUstream on, CUcall f, CUkind k, CUdata d);";

    fn read() -> Vec<String> {
        let found = revisions(CUDA, TYPEDEFS).and_then(merge).expect("all types are known");
        let line = |r: &Revision| format!("{} {} {} {}", r.name, r.since, r.symbol, r.parameters);
        found.iter().map(line).collect()
    }

    #[test]
    fn revisions_and_their_symbols() {
        let expected = [
            "cuCopy 2000 cuCopy wpw",
            "cuCopy 3020 cuCopy_v2 lpl",
            "cuCopy 7000 cuCopy_v2_ptds lpl",
            "cuDo 4000 cuDo hhwm",
            "cuWait 2000 cuWait ",
        ];
        assert_eq!(read(), expected);
    }

    #[test]
    fn symbols_of_nvml() {
        let header = "nvmlReturn_t DECLDIR nvmlInit_v2(void); // nvmlReturn_t DECLDIR nvmlNo(\n\
                      const DECLDIR char* nvmlErrorString(nvmlReturn_t result);";
        assert_eq!(management(header), ["nvmlInit_v2", "nvmlErrorString"]);
    }

    #[test]
    fn an_unknown_type_is_said() {
        let error = revisions("", "typedef CUresult (CUDAAPI *PFN_cuX_v1000)(CUnew thing);");
        assert_eq!(error, Err("cuX_v1000: type `CUnew thing` is unknown".to_owned()));
    }
}
