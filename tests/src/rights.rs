//! What service accounts may do: as the chart's README says, and as `kubectl auth can-i --list` does.

use std::collections::BTreeSet;

/// What an account may do with one kind of object: `(resource, names, verbs)`, verbs sorted.
pub type Right = (String, String, String);

/// A row of the README's table of rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentedRight {
    /// The component whose account it is.
    pub account: String,
    /// Where: `all namespaces` or `its own`.
    pub place: String,
    /// What.
    pub right: Right,
    /// Why, and when.
    pub why: String,
}

impl DocumentedRight {
    /// The rows of the table in `readme`; empty where it has none.
    pub fn read(readme: &str) -> Vec<Self> {
        let head = "| account | where | resource | names | verbs | why |\n";
        let Some((_, table)) = readme.split_once(head) else { return Vec::new() };
        table.lines().skip(1).take_while(|line| line.starts_with('|')).filter_map(Self::row).collect()
    }

    fn row(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [_, account, place, resource, names, verbs, why, _] = cells.try_into().ok()?;
        Some(Self { account, place, right: (resource, names, sorted(&verbs.replace(',', ""))), why })
    }
}

/// Reads what `kubectl auth can-i --list --no-headers` prints; what is no line of it is left out.
pub fn listed_rights(text: &str) -> BTreeSet<Right> {
    text.lines().filter_map(listed_right).collect()
}

/// Reads `RESOURCE [URLS] [NAMES] [VERBS]`.
fn listed_right(line: &str) -> Option<Right> {
    let (resource, _) = line.split_once('[')?;
    let lists: Vec<_> = line.split('[').skip(1).filter_map(|rest| rest.split(']').next()).collect();
    let [urls, names, verbs] = lists.try_into().ok()?;
    let resource = if urls.is_empty() { resource.trim() } else { urls };
    Some((resource.to_owned(), names.to_owned(), sorted(verbs)))
}

fn sorted(words: &str) -> String {
    words.split_whitespace().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_readme_and_a_line_of_kubectl_are_the_same_right() {
        let readme = "Text\n\n| account | where | resource | names | verbs | why |\n| --- | --- | --- | --- | --- | --- |\n\
            | `controller` | its own | `leases.coordination.k8s.io` | autotiler | get, update | to lead |\n\nMore";
        let rows = DocumentedRight::read(readme);
        assert_eq!(
            (rows.len(), rows[0].account.as_str(), rows[0].place.as_str()),
            (1, "controller", "its own")
        );
        let list =
            "leases.coordination.k8s.io   []   [autotiler]   [update get]\n   [/livez]   []   [get]\nnoise\n";
        let listed = listed_rights(list);
        assert!(listed.contains(&rows[0].right), "{listed:?}");
        assert!(listed.contains(&("/livez".into(), String::new(), "get".into())));
        assert_eq!(listed.len(), 2);
    }
}
