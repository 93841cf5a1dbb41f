//! From a topic to its channel, and which templates conflict: by segment, without going through all channels.

use std::collections::HashMap;

use super::template::{Segment, Template};
use crate::protocol::{TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX};

/// Most conflicts that are reported for one template.
pub(super) const CONFLICTS_MAX: usize = 10;

/// Finds a template by a topic's name.
///
/// Templates without params are in a hash map: one look-up, and they win. The others are in one trie for each number of
/// segments. A look-up there walks down one segment at a time, first the static branch and then the param branch. It
/// turns back only if both exist and the rest does not fit, so it visits at most 2^segments nodes (segments are bounded
/// by [`TOPIC_SEGMENTS_MAX`]), and one for each segment if no param stands next to a text.
#[derive(Debug, Default)]
pub(super) struct Index {
    fixed: HashMap<Box<str>, usize>,
    tries: [Trie; TOPIC_SEGMENTS_MAX],
}

#[derive(Debug, Default)]
struct Trie {
    nodes: Vec<TrieNode>,
}

#[derive(Debug, Default)]
struct TrieNode {
    branches: HashMap<Box<str>, usize>,
    param: Option<usize>,
    channel: Option<usize>,
}

impl Index {
    /// Adds a template with a number. Returns earlier templates that it conflicts with, at most [`CONFLICTS_MAX`]; then
    /// the index finds further conflicts, but no topics, because it is undecided which template wins. A template
    /// without params conflicts only with an equal one.
    ///
    /// The cost of the search grows with the template's segments, except where its params meet many different texts: it
    /// must visit all of those.
    pub(super) fn add(&mut self, template: &Template, number: usize) -> Vec<usize> {
        if template.is_static() {
            if let Some(&other) = self.fixed.get(template.as_str()) {
                return vec![other];
            }
            self.fixed.insert(template.as_str().into(), number);
            return Vec::new();
        }
        let segments = template.segments();
        let trie = &mut self.tries[segments.len() - 1];
        let mut conflicts = Vec::new();
        trie.overlapping(0, segments, &mut conflicts);
        trie.insert(segments, number);
        conflicts
    }

    /// The number of the template that a topic matches.
    pub(super) fn find(&self, topic: &str) -> Option<usize> {
        if let Some(&number) = self.fixed.get(topic) {
            return Some(number);
        }
        if topic.len() > TOPIC_BYTES_MAX {
            return None;
        }
        let mut segments = [""; TOPIC_SEGMENTS_MAX];
        let mut count = 0;
        for part in topic.split('.') {
            *segments.get_mut(count)? = part;
            count += 1;
        }
        self.tries[count - 1].find(0, &segments[..count])
    }
}

impl Trie {
    fn find(&self, at: usize, segments: &[&str]) -> Option<usize> {
        let node = self.nodes.get(at)?;
        let Some((first, rest)) = segments.split_first() else { return node.channel };
        let fixed = node.branches.get(*first).and_then(|&next| self.find(next, rest));
        fixed.or_else(|| node.param.filter(|_| !first.is_empty()).and_then(|next| self.find(next, rest)))
    }

    fn overlapping(&self, at: usize, segments: &[Segment], found: &mut Vec<usize>) {
        let Some(node) = self.nodes.get(at) else { return };
        if found.len() >= CONFLICTS_MAX {
            return;
        }
        let Some((first, rest)) = segments.split_first() else {
            found.extend(node.channel);
            return;
        };
        match first {
            Segment::Static(text) => {
                if let Some(&next) = node.branches.get(text) {
                    self.overlapping(next, rest, found);
                }
            }
            Segment::Param(_) => {
                for &next in node.branches.values() {
                    self.overlapping(next, rest, found);
                }
            }
        }
        if let Some(next) = node.param {
            self.overlapping(next, rest, found);
        }
    }

    fn insert(&mut self, segments: &[Segment], number: usize) {
        if self.nodes.is_empty() {
            self.nodes.push(TrieNode::default());
        }
        let mut at = 0;
        for segment in segments {
            let fresh = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                Segment::Static(text) => *node.branches.entry(text.clone()).or_insert(fresh),
                Segment::Param(_) => *node.param.get_or_insert(fresh),
            };
            if at == fresh {
                self.nodes.push(TrieNode::default());
            }
        }
        self.nodes[at].channel.get_or_insert(number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(templates: &[&str]) -> (Index, Vec<Vec<usize>>) {
        let mut index = Index::default();
        let add = |(number, text): (usize, &&str)| index.add(&Template::parse(text).unwrap(), number);
        let conflicts = templates.iter().enumerate().map(add).collect();
        (index, conflicts)
    }

    #[test]
    fn a_template_without_params_wins_over_one_with() {
        let (index, conflicts) = index(&["a.{x}", "a.b"]);
        assert!(conflicts.iter().all(Vec::is_empty));
        assert_eq!(index.find("a.b"), Some(1));
        assert_eq!(index.find("a.c"), Some(0));
        assert_eq!(index.find("a"), None);
        assert_eq!(index.find(""), None);
        assert_eq!(index.find(&["a"; 300].join(".")), None);
    }

    #[test]
    fn a_search_turns_back_where_the_rest_does_not_fit() {
        let (index, _) = index(&["a.{x}.c", "{y}.b.d"]);
        assert_eq!(index.find("a.b.d"), Some(1));
        assert_eq!(index.find("a.b.c"), Some(0));
    }

    #[test]
    fn every_template_in_the_way_is_named() {
        let (_, conflicts) = index(&["a.{x}", "b.{x}", "{y}.c"]);
        let mut last = conflicts[2].clone();
        last.sort_unstable();
        assert_eq!(last, [0, 1]);
    }

    /// Few letters, so that names meet.
    fn topics() -> impl Strategy<Value = String> {
        prop::collection::vec("[abc]{1,2}", 1..5).prop_map(|parts| parts.join("."))
    }

    fn templates() -> impl Strategy<Value = Template> {
        let segment = prop_oneof![2 => "[abc]{1,2}".prop_map(Some), 1 => Just(None)];
        prop::collection::vec(segment, 1..5).prop_map(|parts| {
            let name = |(at, part): (usize, Option<String>)| part.unwrap_or_else(|| format!("{{p{at}}}"));
            Template::parse(&parts.into_iter().enumerate().map(name).collect::<Vec<_>>().join(".")).unwrap()
        })
    }

    proptest! {
        #[test]
        fn what_a_template_takes_out_of_a_topic_puts_the_topic_together_again(template in templates(), topic in topics()) {
            if let Some(params) = template.matches(&topic) {
                let values: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
                prop_assert_eq!(template.fill(&values), topic);
                prop_assert_eq!(params.iter().map(|(name, _)| name).collect::<Vec<_>>(), template.params().collect::<Vec<_>>());
            }
        }

        #[test]
        fn overlap_is_a_topic_that_matches_both(one in templates(), two in templates()) {
            // A witness is made of one's texts where it has any, else of two's.
            let filled: Vec<String> = one.segments().iter().zip(two.segments()).map(|pair| match pair {
                (Segment::Static(text), _) | (_, Segment::Static(text)) => text.to_string(),
                _ => "z".to_owned(),
            }).collect();
            let witness = filled.join(".");
            let both = one.matches(&witness).is_some() && two.matches(&witness).is_some();
            prop_assert_eq!(one.overlaps(&two), both);
            prop_assert_eq!(one.overlaps(&two), two.overlaps(&one));
        }

        #[test]
        fn a_topic_that_matches_both_means_overlap(one in templates(), two in templates(), topic in topics()) {
            if one.matches(&topic).is_some() && two.matches(&topic).is_some() {
                prop_assert!(one.overlaps(&two));
            }
        }

        #[test]
        fn the_index_tells_the_conflicts_a_comparison_of_all_pairs_would(
            all in prop::collection::hash_set(templates().prop_map(|template| template.as_str().to_owned()), 1..9),
        ) {
            let all: Vec<Template> = all.iter().map(|text| Template::parse(text).unwrap()).collect();
            let mut index = Index::default();
            for (number, template) in all.iter().enumerate() {
                let in_the_way = |other: &usize| {
                    all[*other].is_static() == template.is_static() && all[*other].overlaps(template)
                };
                let expected: Vec<usize> = (0..number).filter(in_the_way).collect();
                let mut told = index.add(template, number);
                told.sort_unstable();
                prop_assert_eq!(told, expected);
            }
        }

        #[test]
        fn the_index_finds_what_a_scan_would(
            all in prop::collection::vec(templates(), 1..20),
            asked in prop::collection::vec(topics(), 1..20),
        ) {
            let mut index = Index::default();
            let mut added: Vec<(usize, &Template)> = Vec::new();
            for (number, template) in all.iter().enumerate() {
                let in_the_way = |other: &&(usize, &Template)| {
                    other.1.is_static() == template.is_static() && other.1.overlaps(template)
                };
                // The index of a valid catalog has no conflicts.
                if added.iter().any(|other| in_the_way(&other)) {
                    continue;
                }
                prop_assert!(index.add(template, number).is_empty());
                added.push((number, template));
            }
            for topic in &asked {
                let matching = || added.iter().filter(|(_, template)| template.matches(topic).is_some());
                let fixed = matching().find(|(_, template)| template.is_static());
                let expected = fixed.or_else(|| matching().next()).map(|(number, _)| *number);
                prop_assert_eq!(index.find(topic), expected);
            }
        }
    }
}
