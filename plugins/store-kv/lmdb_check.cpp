#include "lmdb_check.h"

#include <algorithm>

namespace meridian::store_kv {
namespace {

class StructureCheck {
public:
    StructureCheck(const PageFile& file, const DatabaseView& view, const std::function<bool(uint64_t)>& pace)
        : file_(file), view_(view), pace_(pace), used_(static_cast<size_t>(view.meta.last) + 1, false) {
        const auto size = file.size();
        if (size) {
            pages_in_file_ = *size / file.page_size();
        } else {
            add(report_.fatal, size.error().message);
        }
    }

    StructureReport run(const std::vector<Table>& tables) {
        claim(0, meta_pages, "meta");
        check_tree(view_.main);
        check_tree(view_.free);
        for (const Table& table : tables) check_tree(TreeReader(file_, table));
        if (report_.whole) {
            const auto listed = check_free_list(view_, [this](PageNumber page) {
                claim(page, 1, "the list of free pages");
                return Result<void>();
            });
            if (!listed) add(report_.fatal, listed.error().message);
        }
        return std::move(report_);
    }

private:
    static void add(std::vector<std::string>& texts, const std::string& text) {
        if (texts.size() < structure_texts_max) texts.push_back(text);
    }

    void claim(PageNumber first, uint64_t count, const std::string& owner) {
        for (PageNumber page = first; page < first + count && page < used_.size(); ++page) {
            if (used_[static_cast<size_t>(page)])
                add(report_.fatal, file_.failure(page, "it is in use twice, the second time by " + owner).message);
            used_[static_cast<size_t>(page)] = true;
        }
    }

    // LMDB may leave the highest pages unwritten when they are free again; one that is in use must be there.
    void claim_used(PageNumber first, uint64_t count, const std::string& owner) {
        claim(first, count, owner);
        if (first + count > pages_in_file_) {
            add(report_.fatal,
                file_
                    .failure(first + count - 1, "truncated: the page is in use by " + owner + ", and the file has " +
                                                    std::to_string(pages_in_file_) + " pages")
                    .message);
        }
    }

    void check_tree(const TreeReader& tree) {
        if (!report_.whole) return;
        const std::string& name = tree.table().name;
        const TreeInfo& info = tree.table().info;
        uint64_t rows = 0;
        uint64_t pages = 0;
        uint64_t large_pages = 0;
        bool sound = true;
        const auto damaged = [&](const Error& error) {
            sound = false;
            add(report_.damaged, error.message);
            return true;
        };
        TreeVisitor visitor;
        visitor.damaged = damaged;
        visitor.page = [&](PageNumber page) {
            claim_used(page, 1, name);
            pages += 1;
            report_.whole = report_.whole && pace_(file_.page_size());
            return report_.whole;
        };
        visitor.row = [&](std::string_view, const PageNode& node) {
            rows += 1;
            if (node.overflow == no_page) return true;
            const auto count = tree.overflow_pages(node);
            if (!count) return damaged(count.error());
            claim_used(node.overflow, *count, name);
            large_pages += *count;
            report_.whole = report_.whole && pace_(file_.page_size());
            return report_.whole;
        };
        const auto walked = tree.walk({}, visitor);
        if (!walked) damaged(walked.error());
        if (sound && report_.whole &&
            (pages != info.branch_pages + info.leaf_pages || large_pages != info.overflow_pages ||
             rows != info.entries)) {
            damaged(Error{file_.path() + ": table '" + name + "' has " + std::to_string(rows) + " rows in " +
                          std::to_string(pages) + " pages and " + std::to_string(large_pages) +
                          " of large values, expected " + std::to_string(info.entries) + ", " +
                          std::to_string(info.branch_pages + info.leaf_pages) + " and " +
                          std::to_string(info.overflow_pages)});
        }
    }

    const PageFile& file_;
    const DatabaseView& view_;
    const std::function<bool(uint64_t)>& pace_;
    std::vector<bool> used_;
    uint64_t pages_in_file_ = 0;
    StructureReport report_;
};

}  // namespace

StructureReport check_structure(const PageFile& file, const DatabaseView& view, const std::vector<Table>& tables,
                                const std::function<bool(uint64_t bytes)>& pace) {
    return StructureCheck(file, view, pace).run(tables);
}

Result<void> check_free_list(const DatabaseView& view, const std::function<Result<void>(PageNumber page)>& visit) {
    Result<void> out;
    TreeVisitor visitor;
    visitor.row = [&](std::string_view, const PageNode& node) {
        if (node.overflow != no_page) {
            if (const auto count = view.free.overflow_pages(node); !count) out = count.error();
        }
        if (!out) return false;
        const auto value = view.free.value(node);
        if (!value) {
            out = value.error();
            return false;
        }
        Result<void> visited;
        const auto read = read_free_list(*value, view.meta.last, [&](PageNumber page) {
            if (visited) visited = visit(page);
        });
        out = read ? visited : Result<void>(Error{view.free.path() + ": " + read.error().message});
        return out.ok();
    };
    const auto walked = view.free.walk({}, visitor);
    return walked ? out : Result<void>(walked.error());
}

Result<std::unique_ptr<FreePages>> read_free_pages(const DatabaseView& view) {
    auto pages = std::make_unique<FreePages>(view.meta.last);
    auto listed = check_free_list(view, [&](PageNumber page) {
        if (pages->insert(page)) return Result<void>();
        return Result<void>(
            Error{view.free.path() + ": page " + std::to_string(page) + ": the list of free pages has it twice"});
    });
    if (!listed) return listed.error();
    TreeReader list = view.free;
    list.set_free_pages(pages.get());
    TreeVisitor visitor;
    visitor.row = [&](std::string_view, const PageNode& node) {
        if (node.overflow == no_page) return true;
        if (const auto count = list.overflow_pages(node); !count) listed = count.error();
        return listed.ok();
    };
    const auto walked = list.walk({}, visitor);
    if (!walked) return walked.error();
    if (!listed) return listed.error();
    return pages;
}

uint64_t pages_to_check(const DatabaseView& view, const std::vector<Table>& tables) {
    uint64_t pages = view.meta.free.branch_pages + view.meta.free.leaf_pages;
    for (const Table& table : tables) {
        // Of a large value the first page.
        const uint64_t large_values = std::min(table.info.entries, table.info.overflow_pages);
        pages += table.info.branch_pages + table.info.leaf_pages + large_values;
    }
    return pages;
}

}  // namespace meridian::store_kv
