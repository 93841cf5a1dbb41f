//! Lists that are read page by page.

use super::answer::Problem;

/// Entries of a page if the caller gives no `limit`.
const PAGE_LIMIT: usize = 100;
/// Most entries of a page.
pub(super) const PAGE_LIMIT_MAX: usize = 1000;

/// The most entries of the page that is asked for.
///
/// # Errors
/// 400 if it is not from 1 to [`PAGE_LIMIT_MAX`].
pub(super) fn page_limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(PAGE_LIMIT);
    if (1..=PAGE_LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::bad_request(format!("`limit` is {limit}: expected 1 to {PAGE_LIMIT_MAX}")))
}
