// Looks at every page of an LMDB file that belongs to a tree, without reading large values: are the pages sound, and is
// none of them used twice, or used and free? The latter is what LMDB would overwrite next.
//
// Threads: one; the caller holds a transaction of the moment that the view is of.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lmdb_tree.h"

namespace meridian::store_kv {

struct StructureReport {
    // Texts that name the file and the page. Rows of a damaged page cannot be read; all others can.
    std::vector<std::string> damaged;
    // Going on to write would destroy rows: pages that two things claim, pages in use behind the end of the file, or
    // the list of free pages is damaged.
    std::vector<std::string> fatal;
    bool whole = true;  // false: `pace` stopped it
};

constexpr size_t structure_texts_max = 100;

// `pace` is told how many bytes were read, and stops the check by answering false.
StructureReport check_structure(const PageFile& file, const DatabaseView& view, const std::vector<Table>& tables,
                                const std::function<bool(uint64_t bytes)>& pace);

// Reads the list of free pages, which LMDB may read whole too when it writes. Calls `visit` for each of them.
Result<void> check_free_list(const DatabaseView& view, const std::function<Result<void>(PageNumber page)>& visit);
// The same as a set. A page that is in the list twice, or both in the list and a page of it, is an error.
Result<std::unique_ptr<FreePages>> read_free_pages(const DatabaseView& view);

// How many pages check_structure would read, or a few more.
uint64_t pages_to_check(const DatabaseView& view, const std::vector<Table>& tables);

}  // namespace meridian::store_kv
