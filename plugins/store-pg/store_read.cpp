// Reads: each in one statement, so that it sees one moment.
#include <algorithm>
#include <map>

#include "store.h"

namespace meridian::store_pg {
namespace {

constexpr uint64_t page_count_max = 10'000;
constexpr size_t names_per_statement = 256;

const std::vector<Statement>& read_statements() {
    static const std::vector<Statement> all = {
        Statement::read_keys,      Statement::read_log, Statement::read_head,     Statement::scan_keys,
        Statement::scan_namespace, Statement::scan_due, Statement::read_metadata, Statement::scan_metadata};
    return all;
}

// Greater than every metadata name that begins with `prefix`.
std::string end_of_prefix(std::string prefix) {
    while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
    if (prefix.empty()) return std::string(abi::metadata_name_bytes_max + 1, '\xff');
    prefix.back() = static_cast<char>(prefix.back() + 1);
    return prefix;
}

struct NamePage {
    std::vector<std::pair<abi::Name, uint64_t>> names;
    bool more = false;
};

// Of a query that was asked for one more.
NamePage page_of(const Rows& rows, uint64_t count, bool with_deadlines) {
    NamePage out;
    out.more = static_cast<uint64_t>(rows.count()) > count;
    for (int i = 0; i < rows.count() && out.names.size() < count; ++i)
        out.names.emplace_back(name_at(rows, i, 0), with_deadlines ? rows.number(i, 3) : 0);
    return out;
}

void give_page(const abi::NameSink& sink, const NamePage& page) {
    for (const auto& [name, deadline_ms] : page.names) sink.name(name.namespace_name, name.key, deadline_ms);
    sink.done(MERIDIAN_OK, {}, page.more);
}

struct Records {
    std::vector<abi::Name> names;
    Rows rows{nullptr};
    std::string damage;  // not empty: the name cannot be read
};

void give_records(const abi::KeyRecordSink& sink, const Records& records) {
    int at = 0;
    for (size_t i = 0; i < records.names.size(); ++i) {
        const meridian_key_name name = records.names[i].borrowed();
        if (!records.damage.empty()) {
            sink.failed(name, MERIDIAN_CORRUPT, records.damage);
            continue;
        }
        std::optional<std::string_view> state;
        uint64_t state_position = 0;
        uint64_t tail_position = 0;
        std::vector<meridian_bytes> tail;
        for (; at < records.rows.count() && records.rows.number(at, 0) == i + 1; ++at) {
            const uint64_t position = records.rows.number(at, 3);
            if (records.rows.number(at, 2) == 0) {
                state_position = position;
                if (!records.rows.is_null(at, 4)) state = records.rows.bytes(at, 4);
            } else {
                tail_position = position;
                tail.push_back(abi::bytes(records.rows.bytes(at, 4)));
            }
        }
        sink.record(name, state, state_position, tail, tail_position);
    }
}

Records fetch_records(Connection& connection, std::vector<abi::Name> names) {
    ArrayParameter uncached(ArrayParameter::Of::int8);
    for (size_t i = 0; i < names.size(); ++i) uncached.add_null();
    Records out;
    out.rows = connection.run({{Statement::read_keys, parameters_of(names).array(uncached)}}).front();
    out.names = std::move(names);
    return out;
}

}  // namespace

std::unique_ptr<Connection> PgStore::take_reader() {
    const std::lock_guard lock(reader_mutex_);
    if (idle_readers_.empty()) return std::make_unique<Connection>(settings_, [this] { return is_late(); });
    auto out = std::move(idle_readers_.back());
    idle_readers_.pop_back();
    return out;
}

void PgStore::give_back(std::unique_ptr<Connection> reader) {
    const std::lock_guard lock(reader_mutex_);
    idle_readers_.push_back(std::move(reader));
}

class PgStore::Reader {
public:
    explicit Reader(PgStore& store) : store_(store), connection_(store.take_reader()) {}
    ~Reader() { store_.give_back(std::move(connection_)); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    Connection& operator*() { return *connection_; }

private:
    PgStore& store_;
    std::unique_ptr<Connection> connection_;
};

template <class Fetch>
auto PgStore::with_reader(Fetch fetch) {
    Reader reader(*this);
    const uint64_t deadline_us = host_.monotonic_us() + settings_.unavailable_after_ms * 1000;
    for (uint32_t attempt = 0;; ++attempt) {
        try {
            if (!(*reader).is_open()) (*reader).open(read_statements());
            return fetch(*reader);
        } catch (const ServerError& error) {
            if (error.cancelled() || !(error.lost() || error.worth_repeating())) throw;
            if (attempt >= attempts_max || host_.monotonic_us() >= deadline_us || !sleep_us(pause_us(attempt))) throw;
        }
    }
}

template <class Sink, class Fetch, class Give>
meridian_status PgStore::submit_read(Sink sink, Fetch fetch, Give give) {
    return readers_.submit([this, sink, fetch = std::move(fetch), give = std::move(give)](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        try {
            give(with_reader(fetch));
        } catch (const ServerError& error) {
            sink.done(error.status(), error.what());
        } catch (const abi::Failure& failure) {
            sink.done(failure.status(), failure.what());
        } catch (const std::exception& error) { sink.done(MERIDIAN_INTERNAL, error.what()); }
    });
}

meridian_status PgStore::read_keys(const meridian_key_name* names, uint64_t count, abi::KeyRecordSink sink) {
    return submit_read(
        sink,
        [wanted = abi::copy_names(names, count)](Connection& connection) {
            std::vector<Records> out;
            for (size_t from = 0; from < wanted.size(); from += names_per_statement) {
                const auto begin = wanted.begin() + static_cast<ptrdiff_t>(from);
                const auto end = begin + static_cast<ptrdiff_t>(std::min(names_per_statement, wanted.size() - from));
                try {
                    out.push_back(fetch_records(connection, {begin, end}));
                } catch (const ServerError& error) {
                    if (error.status() != MERIDIAN_CORRUPT) throw;
                    // One of them cannot be read: which, is found by reading each alone.
                    for (auto name = begin; name != end; ++name) {
                        try {
                            out.push_back(fetch_records(connection, {*name}));
                        } catch (const ServerError& alone) {
                            if (alone.status() != MERIDIAN_CORRUPT) throw;
                            out.emplace_back();
                            out.back().names = {*name};
                            out.back().damage = alone.what();
                        }
                    }
                }
            }
            return out;
        },
        [sink](const std::vector<Records>& all) {
            for (const Records& records : all) give_records(sink, records);
            sink.done(MERIDIAN_OK);
        });
}

meridian_status PgStore::read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max, abi::LogSink sink) {
    return submit_read(
        sink,
        [=](Connection& connection) {
            // The head is looked at after the page: what was there for the page had not been deleted before.
            return connection.run({{Statement::read_log, Parameters()
                                                             .number(bounded(from_position))
                                                             .number(std::min(entries_max, page_count_max))
                                                             .number(bounded(bytes_max))},
                                   {Statement::read_head, {}}});
        },
        [=](const std::vector<Rows>& results) {
            const uint64_t floor = head_of(results[1]).floor;
            if (from_position < floor) return sink.gone(floor);
            const Rows& rows = results[0];
            for (int i = 0; i < rows.count(); ++i) {
                const abi::Name name = name_at(rows, i, 6);
                meridian_log_entry entry{};
                entry.struct_size = sizeof entry;
                entry.position = rows.number(i, 0);
                entry.origin_node_id = rows.number(i, 1);
                entry.origin_incarnation = rows.number(i, 2);
                entry.origin_sequence = rows.number(i, 3);
                entry.wall_ms = rows.number(i, 4);
                entry.deadline_ms = rows.number(i, 5);
                entry.name = name.borrowed();
                entry.payload = abi::bytes(rows.bytes(i, 9));
                sink.entry(entry);
            }
            sink.done(MERIDIAN_OK, {}, from_position + static_cast<uint64_t>(rows.count()));
        });
}

meridian_status PgStore::scan_keys(std::string_view in_namespace, const meridian_key_name* after, uint64_t count_max,
                                   abi::NameSink sink) {
    abi::Name start;
    if (after != nullptr) start = abi::Name(*after);
    const uint64_t count = std::min(count_max, page_count_max);
    const std::string wanted(in_namespace);
    return submit_read(
        sink,
        [=](Connection& connection) {
            const bool is_past = !wanted.empty() && start.namespace_name > wanted;
            if (is_past) return NamePage();
            const std::string from = wanted.empty() || start.namespace_name == wanted ? start.key : std::string();
            const size_t split = std::min(from.size(), key_start_bytes);
            const auto parameters = Parameters()
                                        .bytes(wanted.empty() ? start.namespace_name : wanted)
                                        .bytes(std::string_view(from).substr(0, split))
                                        .bytes(std::string_view(from).substr(split))
                                        .number(count + 1);
            const auto statement = wanted.empty() ? Statement::scan_keys : Statement::scan_namespace;
            return page_of(connection.run({{statement, parameters}}).front(), count, false);
        },
        [sink](const NamePage& page) { give_page(sink, page); });
}

meridian_status PgStore::scan_due(uint64_t until_ms, uint64_t count_max, abi::NameSink sink) {
    const uint64_t count = std::min(count_max, page_count_max);
    return submit_read(
        sink,
        [=](Connection& connection) {
            const auto parameters = Parameters().number(bounded(until_ms)).number(count + 1);
            return page_of(connection.run({{Statement::scan_due, parameters}}).front(), count, true);
        },
        [sink](const NamePage& page) { give_page(sink, page); });
}

meridian_status PgStore::read_metadata(const meridian_bytes* names, uint64_t count, abi::MetadataSink sink) {
    const auto wanted = abi::copy_metadata_names(names, count);
    return submit_read(
        sink,
        [wanted](Connection& connection) {
            ArrayParameter array(ArrayParameter::Of::bytea);
            for (const std::string& name : wanted) array.add(name);
            return connection.run({{Statement::read_metadata, Parameters().array(array)}}).front();
        },
        [wanted, sink](const Rows& rows) {
            std::vector<std::optional<std::string_view>> values(wanted.size());
            for (int i = 0; i < rows.count(); ++i) values[rows.number(i, 0) - 1] = rows.bytes(i, 1);
            for (size_t i = 0; i < wanted.size(); ++i) sink.value(wanted[i], values[i]);
            sink.done(MERIDIAN_OK);
        });
}

meridian_status PgStore::scan_metadata(std::string_view prefix, std::string_view after, uint64_t count_max,
                                       abi::MetadataSink sink) {
    const auto parameters = Parameters()
                                .bytes(prefix)
                                .bytes(after)
                                .bytes(end_of_prefix(std::string(prefix)))
                                .number(std::min(count_max, page_count_max));
    return submit_read(
        sink,
        [parameters](Connection& connection) {
            return connection.run({{Statement::scan_metadata, parameters}}).front();
        },
        [sink](const Rows& rows) {
            for (int i = 0; i < rows.count(); ++i) sink.value(rows.bytes(i, 0), rows.bytes(i, 1));
            sink.done(MERIDIAN_OK);
        });
}

}  // namespace meridian::store_pg
