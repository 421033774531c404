/* The Meridian plug-in interface: a stable C ABI for stores (where a node keeps its data) and transports (how nodes
 * talk to each other). A plug-in is a shared object that exports one function, MERIDIAN_PLUGIN_ENTRY, and carries one
 * ELF note. This header is all that it needs; plugin.hpp makes it pleasant from C++.
 *
 * Versions
 *   The major version must match exactly; while it is 0 the minor version must match too. From 1.0 on the minor version
 * grows only by fields at the end of structs: a field is read only if the struct_size of the one who filled the struct
 * covers it (MERIDIAN_HAS). Whoever fills a struct sets its struct_size to what it was compiled with; one that does not
 * cover the fields of the oldest version is MERIDIAN_INVALID.
 *
 * Memory
 *   What a call is given is borrowed until the call returns, on both sides: copy what is needed longer. Nothing
 *   allocated on one side is freed on the other. Results go through a sink. Text is UTF-8 and not terminated, except
 *   where the type is `const char*` (NUL-terminated). No C++ type and no exception crosses the boundary.
 *
 * Threads; each function carries one of these tags
 *   [control]     one thread at a time for each instance, never together with another [control] call; may block
 *   [submit]      any host thread, several at once; must not block beyond a short lock and does no I/O
 *   [any]         any thread, several at once; must not block
 *   [completion]  called by the plug-in on a thread of its own, never inside the submitting call; the host's function
 * only posts to a mailbox, never blocks and never calls the plug-in, so it may be called under locks
 *
 * Submit and completion
 *   A submit that returns MERIDIAN_OK will call the sink's `done` exactly once; one that returns something else has
 * done nothing and never calls the sink. The sink struct itself is borrowed (copy it); its `context` stays valid until
 * `done` returns. All calls to one sink come one after another, `done` last.
 *
 * Errors
 *   A meridian_status with text for a person: what it is about, what was found, what was expected.
 */
#ifndef MERIDIAN_PLUGIN_H
#define MERIDIAN_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MERIDIAN_ABI_MAJOR 0u
#define MERIDIAN_ABI_MINOR 2u

/* True if the filler of *pointer knew the field. */
#define MERIDIAN_HAS(pointer, type, field) ((pointer)->struct_size >= offsetof(type, field) + sizeof((pointer)->field))

/* ---- common types -------------------------------------------------------------------------------------------- */

/* Borrowed bytes. `data` may be NULL if size is 0. */
typedef struct meridian_bytes {
    const void* data;
    uint64_t size;
} meridian_bytes;

typedef int32_t meridian_status;
enum {
    MERIDIAN_OK = 0,
    MERIDIAN_BUSY = 1,          /* a queue is full; nothing was done; try later */
    MERIDIAN_CANCELLED = 2,     /* the instance is stopping; nothing was done */
    MERIDIAN_INVALID = 3,       /* the caller broke the contract, or a value is out of range; nothing was done */
    MERIDIAN_NOT_SUPPORTED = 4, /* this plug-in does not have the function; see capabilities */
    MERIDIAN_NO_SPACE = 5,      /* disk, quota or configured limit; nothing was written; clears when there is space */
    MERIDIAN_READ_ONLY = 6,     /* an earlier write or sync failed; nothing was written, nor will be before a restart */
    MERIDIAN_OUTCOME_UNKNOWN = 7, /* a write or sync failed: it may or may not be on stable storage */
    MERIDIAN_CORRUPT = 8,         /* stored data fails its checks */
    MERIDIAN_IO = 9,              /* the system refused a read, open, ... */
    MERIDIAN_TIMEOUT = 10,
    MERIDIAN_UNAVAILABLE = 11,  /* the other side (database, broker, peer) cannot be reached */
    MERIDIAN_IN_USE = 12,       /* another process holds it */
    MERIDIAN_NEWER_FORMAT = 13, /* stored by a newer version than this one reads */
    MERIDIAN_INTERNAL = 14      /* a defect of the plug-in, such as an exception that was not caught */
};

/* Where a [control] call that fails puts its text. The host owns the buffer. Write at most text_size bytes, the last
 * of them NUL. */
typedef struct meridian_error {
    uint32_t struct_size;
    uint32_t text_size;
    char* text;
} meridian_error;

/* ---- identity: the fixed part of the descriptor, also in the ELF note ------------------------------------------ */

#define MERIDIAN_MAGIC "MERIDIAN" /* 8 bytes, no terminator */

enum { MERIDIAN_KIND_STORE = 1, MERIDIAN_KIND_TRANSPORT = 2 };

typedef struct meridian_identity {
    char magic[8];        /* MERIDIAN_MAGIC */
    uint32_t struct_size; /* sizeof(meridian_identity) */
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t kind;    /* MERIDIAN_KIND_* */
    char name[48];    /* as in `plugin = NAME`: [a-z0-9-]+, NUL-terminated */
    char version[24]; /* of the plug-in, free form, NUL-terminated */
} meridian_identity;

#define MERIDIAN_IDENTITY(kind_, name_, version_)                                                                    \
    {                                                                                                                \
        {'M', 'E', 'R', 'I', 'D', 'I', 'A', 'N'}, sizeof(meridian_identity), MERIDIAN_ABI_MAJOR, MERIDIAN_ABI_MINOR, \
            (kind_), name_, version_                                                                                 \
    }

/* The note lets the host refuse a file before any of its code runs. Use the macro once, at file scope, with the same
 * values as in the descriptor; string literals only. */
#define MERIDIAN_NOTE_OWNER "Meridian"
#define MERIDIAN_NOTE_TYPE 1u

typedef struct meridian_note {
    uint32_t owner_size; /* 9 */
    uint32_t identity_size;
    uint32_t type; /* MERIDIAN_NOTE_TYPE */
    char owner[12];
    meridian_identity identity;
} meridian_note;

#define MERIDIAN_PLUGIN_NOTE(kind_, name_, version_)                                                              \
    __attribute__((section(".note.meridian"), used, aligned(4))) static const meridian_note meridian_elf_note = { \
        9u, sizeof(meridian_identity), MERIDIAN_NOTE_TYPE, MERIDIAN_NOTE_OWNER,                                   \
        MERIDIAN_IDENTITY(kind_, name_, version_)}

/* ---- configuration ------------------------------------------------------------------------------------------- */

enum {
    MERIDIAN_TYPE_STRING = 1,
    MERIDIAN_TYPE_INTEGER = 2,  /* decimal, within minimum..maximum */
    MERIDIAN_TYPE_BOOLEAN = 3,  /* passed on as "true" or "false" */
    MERIDIAN_TYPE_SIZE = 4,     /* bytes; the operator may write 64KiB, 16MiB, 2GiB, 1TiB; passed on as a decimal */
    MERIDIAN_TYPE_DURATION = 5, /* the operator may write 250ms, 10s, 5m, 2h, 7d; passed on as milliseconds */
    MERIDIAN_TYPE_PATH = 6,     /* passed on as written, not empty */
    MERIDIAN_TYPE_CHOICE = 7    /* one of `choices` */
};
enum {
    MERIDIAN_KEY_REQUIRED = 1u << 0,   /* has no default */
    MERIDIAN_KEY_SECRET = 1u << 1,     /* never printed */
    MERIDIAN_KEY_RELOADABLE = 1u << 2, /* may be changed by reconfigure */
    MERIDIAN_KEY_FILE = 1u << 3        /* `<key>_file` may name a file that holds the value */
};

typedef struct meridian_config_key {
    uint32_t struct_size;
    uint32_t type;
    uint32_t flags;
    uint32_t reserved;         /* 0 */
    const char* name;          /* [a-z0-9_]+ */
    const char* default_value; /* as an operator would write it; NULL: none */
    int64_t minimum;           /* INTEGER, SIZE, DURATION */
    int64_t maximum;
    const char* choices;     /* CHOICE: separated by '|' */
    const char* environment; /* variable that gives the value when the section does not; NULL: none */
    const char* help;        /* one line */
} meridian_config_key;

/* A checked value in its normal form. Keys with neither value nor default are left out. */
typedef struct meridian_config_value {
    const char* name;
    meridian_bytes value;
} meridian_config_value;

typedef struct meridian_config {
    uint32_t struct_size;
    uint32_t count;
    const meridian_config_value* values;
} meridian_config;

/* ---- host services ------------------------------------------------------------------------------------------- */

enum { MERIDIAN_LOG_DEBUG = 0, MERIDIAN_LOG_INFORMATION = 1, MERIDIAN_LOG_WARNING = 2, MERIDIAN_LOG_ERROR = 3 };
enum { MERIDIAN_METRIC_COUNTER = 0, MERIDIAN_METRIC_GAUGE = 1, MERIDIAN_METRIC_HISTOGRAM = 2 };

/* Valid from the call of `create` until `destroy` returns. Pass `context` to every function. */
typedef struct meridian_host {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [any] */
    void (*log)(void* context, int32_t level, meridian_bytes text);
    /* [any] Milliseconds since the Unix epoch; may jump. */
    uint64_t (*wall_ms)(void* context);
    /* [any] Microseconds from an arbitrary start; never goes back. Deadlines are given on this clock. */
    uint64_t (*monotonic_us)(void* context);
    /* [any] */
    void (*random)(void* context, void* out, uint64_t size);
    /* [any] Adds to a counter, sets a gauge, observes in a histogram. `name`: [a-z0-9_]+, few distinct ones; the host
     * adds prefix and instance. */
    void (*metric)(void* context, int32_t kind, const char* name, double value);
    /* [any] Calls `callback` once on a host thread, no earlier than delay_us from now; the callback must not block.
     * There is no cancel: the callback finds out for itself whether it is still wanted. Timers that are due after
     * `stop` has returned are not called. */
    void (*timer)(void* context, uint64_t delay_us, void (*callback)(void* cookie), void* cookie);
    /* [any] A table of further functions by "name/version", or NULL. */
    const void* (*get_extension)(void* context, const char* name_and_version);
} meridian_host;

/* ---- store --------------------------------------------------------------------------------------------------- */
/* A store keeps
 *   log        entries numbered by position, contiguous from 1, written in groups that are each all or nothing
 *   metadata   small named values, written together with a group
 *   snapshots  one row a key: the key's state and the log position it reflects. A later call, never ahead of the log.
 * Limits: namespace 1..255 bytes without NUL; key 1..4096 bytes; metadata name 1..480 bytes; a group at most 1 GiB;
 * a page at least 1 item. What is outside of them is MERIDIAN_INVALID, at the submit or by `done`.
 */

typedef struct meridian_key_name {
    meridian_bytes namespace_name;
    meridian_bytes key;
} meridian_key_name;

typedef struct meridian_log_entry {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t position;
    uint64_t origin_node_id;
    uint64_t origin_incarnation;
    uint64_t origin_sequence;
    uint64_t wall_ms;     /* when this node accepted or received it */
    uint64_t deadline_ms; /* the key needs attention at this wall time; 0 = never. The newest of a key counts */
    meridian_key_name name;
    meridian_bytes payload; /* opaque */
} meridian_log_entry;

typedef struct meridian_metadata_write {
    uint32_t struct_size;
    uint32_t remove; /* 1: delete, and value is empty */
    meridian_bytes name;
    meridian_bytes value;
} meridian_metadata_write;

/* Arrays are stepped through by the struct_size of their first element. A group has at least one entry or metadata
 * write; of several writes of one name the last counts. */
typedef struct meridian_commit_group {
    uint32_t struct_size;
    uint32_t reserved;
    const meridian_log_entry* entries; /* ascending positions without a gap; the first is the store's next position */
    uint64_t entry_count;              /* may be 0: metadata only */
    const meridian_metadata_write* metadata;
    uint64_t metadata_count;
} meridian_commit_group;

/* Completion without results. `message` explains a status other than MERIDIAN_OK. */
typedef struct meridian_status_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] */
    void (*done)(void* context, meridian_status status, meridian_bytes message);
} meridian_status_sink;

/* What a key's state is made of. */
typedef struct meridian_key_record {
    uint32_t struct_size;
    uint32_t has_snapshot;
    meridian_key_name name;
    meridian_bytes snapshot;
    uint64_t snapshot_position; /* entries up to here are in the snapshot */
    const meridian_bytes* tail; /* payloads of all later entries of the key, in order of position */
    uint64_t tail_count;
    uint64_t tail_position; /* of the last entry in tail; 0 if it is empty */
    meridian_status status; /* MERIDIAN_CORRUPT, MERIDIAN_IO: this key cannot be read; the others are not affected */
    uint32_t reserved;
    meridian_bytes message;
} meridian_key_record;

typedef struct meridian_key_record_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] Once for each name asked for, in the order asked; a key that does not exist has neither snapshot nor
     * tail. */
    void (*record)(void* context, const meridian_key_record* record);
    void (*done)(void* context, meridian_status status, meridian_bytes message);
} meridian_key_record_sink;

typedef struct meridian_snapshot_write {
    uint32_t struct_size;
    uint32_t remove; /* 1: delete the row; state is empty */
    meridian_key_name name;
    uint64_t position; /* the state reflects the key's entries up to here; at most the last durable position */
    uint64_t deadline_ms;
    meridian_bytes state;
} meridian_snapshot_write;

typedef struct meridian_log_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] Ascending positions. */
    void (*entry)(void* context, const meridian_log_entry* entry);
    /* next_position: where the next page begins. gone = 1: from_position is below the oldest kept position, which is
     * `floor`, and no entry was given. */
    void (*done)(void* context, meridian_status status, meridian_bytes message, uint64_t next_position, uint32_t gone,
                 uint64_t floor);
} meridian_log_sink;

typedef struct meridian_name_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] deadline_ms is 0 where the call is not about deadlines. */
    void (*name)(void* context, const meridian_key_name* name, uint64_t deadline_ms);
    /* more = 1: there are further names after the last one given. */
    void (*done)(void* context, meridian_status status, meridian_bytes message, uint32_t more);
} meridian_name_sink;

typedef struct meridian_metadata_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] present = 0: there is no such name (read_metadata only). */
    void (*value)(void* context, meridian_bytes name, uint32_t present, meridian_bytes value);
    void (*done)(void* context, meridian_status status, meridian_bytes message);
} meridian_metadata_sink;

/* What the store knew when it was opened. Filled by the store; the host has set struct_size. */
typedef struct meridian_store_opening {
    uint32_t struct_size;
    uint32_t created;     /* 1: it was empty and has just been made */
    uint8_t store_id[16]; /* random, made when the store was created */
    uint64_t next_position;
    uint64_t floor; /* oldest kept position */
} meridian_store_opening;

/* Filled by the store; the host has set struct_size. */
typedef struct meridian_store_usage {
    uint32_t struct_size;
    uint32_t failed;                     /* 1: a write or sync failed; read-only until it is opened again */
    uint64_t log_bytes;                  /* on disk */
    uint64_t log_bytes_since_checkpoint; /* written and not covered by snapshots */
    uint64_t log_bytes_available;        /* space that the log may surely still take; 0: writes are refused */
} meridian_store_usage;

/* The functions of one kind of store; the same table for all its instances. Required unless marked optional. */
typedef struct meridian_store_functions {
    uint32_t struct_size;
    uint32_t reserved;

    /* [any] */
    void (*opening)(void* instance, meridian_store_opening* out);
    /* [any] Cheap: atomics. */
    void (*usage)(void* instance, meridian_store_usage* out);

    /* [submit] Writes the group to the log and makes it durable, whole or not at all. Groups complete in the order they
     * were submitted; several may be outstanding. MERIDIAN_OK: on stable storage, and visible to every later read.
     * OUTCOME_UNKNOWN: the store takes no more writes. Any other status: nothing of the group was or will be written;
     * positions are not used up, so that groups submitted after it fail with MERIDIAN_INVALID. */
    meridian_status (*commit)(void* instance, const meridian_commit_group* group, const meridian_status_sink* sink);

    /* [submit] */
    meridian_status (*read_keys)(void* instance, const meridian_key_name* names, uint64_t count,
                                 const meridian_key_record_sink* sink);

    /* [submit] Writes snapshots. MERIDIAN_OK: they are on stable storage, and entries up to their positions are not
     * needed for these keys. Otherwise any part may have been written. A row that already reflects a later position is
     * left alone. */
    meridian_status (*checkpoint)(void* instance, const meridian_snapshot_write* snapshots, uint64_t count,
                                  const meridian_status_sink* sink);

    /* [any] Calls `name` inside the call for keys that have entries newer than their snapshot, the key with the oldest
     * such entry first, at most count_max. */
    void (*stale_keys)(void* instance, uint64_t count_max, void* context,
                       void (*name)(void* context, const meridian_key_name* name));

    /* [any] Entries before this position may be deleted once snapshots cover them. Never lowered. Not remembered:
     * after opening, everything is kept until the host has called it. */
    void (*retain_from)(void* instance, uint64_t position);

    /* [submit] A page: at most entries_max entries and, after the first, at most bytes_max bytes of payload. */
    meridian_status (*read_log)(void* instance, uint64_t from_position, uint64_t entries_max, uint64_t bytes_max,
                                const meridian_log_sink* sink);

    /* [submit] Names of keys that have a row or log entries, in byte order of (namespace, key), after `after` (NULL:
     * from the start), of one namespace (empty: all), at most count_max. */
    meridian_status (*scan_keys)(void* instance, meridian_bytes namespace_name, const meridian_key_name* after,
                                 uint64_t count_max, const meridian_name_sink* sink);

    /* [submit] Keys whose deadline is at or before until_ms, in order of deadline, at most count_max. */
    meridian_status (*scan_due)(void* instance, uint64_t until_ms, uint64_t count_max, const meridian_name_sink* sink);

    /* [submit] One `value` for each name, in the order asked. */
    meridian_status (*read_metadata)(void* instance, const meridian_bytes* names, uint64_t count,
                                     const meridian_metadata_sink* sink);
    /* [submit] Names that begin with `prefix` and are greater than `after`, in byte order, at most count_max. */
    meridian_status (*scan_metadata)(void* instance, meridian_bytes prefix, meridian_bytes after, uint64_t count_max,
                                     const meridian_metadata_sink* sink);

    /* [submit] A consistent copy into a directory that does not exist yet, while the store is in use. Optional: NULL,
     * or MERIDIAN_NOT_SUPPORTED. */
    meridian_status (*backup)(void* instance, meridian_bytes target, const meridian_status_sink* sink);
} meridian_store_functions;

/* Shared stores: several nodes use one database. A commit then has two steps. `lock_group` inserts missing rows,
 * locks all rows of the group in key order, and gives each row whose version differs from the one the host has cached;
 * the host applies its ops to those states and calls `commit_locked` (rows and log entries in the transaction that
 * holds the locks) or `abort_locked`. One group at a time is locked by an instance. A store with MERIDIAN_STORE_SHARED
 * has this table; it is found through the descriptor's get_extension under MERIDIAN_SHARED_STORE_EXTENSION. */
#define MERIDIAN_SHARED_STORE_EXTENSION "shared-store/0"

typedef struct meridian_row_want {
    uint32_t struct_size;
    uint32_t has_cached_version; /* 0: the host does not have the state */
    meridian_key_name name;
    uint64_t cached_version;
} meridian_row_want;

typedef struct meridian_row {
    uint32_t struct_size;
    uint32_t append_only; /* 1: too large to return; append log entries only, and a fold will rewrite it later */
    meridian_key_name name;
    uint64_t version; /* to be passed as cached_version next time, if the group commits: version + 1 */
    meridian_key_record record;
} meridian_row;

typedef struct meridian_row_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] Only rows whose version differs from cached_version. */
    void (*row)(void* context, const meridian_row* row);
    /* MERIDIAN_OK: all rows are locked, and `next_position` is the position of the group's first entry, `next_sequence`
     * the origin sequence. Otherwise nothing is locked. */
    void (*done)(void* context, meridian_status status, meridian_bytes message, uint64_t next_position,
                 uint64_t next_sequence);
} meridian_row_sink;

typedef struct meridian_shared_store_functions {
    uint32_t struct_size;
    uint32_t reserved;
    /* [submit] The lock is given up by the store at deadline_us (host's monotonic clock) if the host does not come
     * back. */
    meridian_status (*lock_group)(void* instance, const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
                                  const meridian_row_sink* sink);
    /* [submit] After lock_group completed. Rows not named keep their state, with their version raised if the group has
     * entries for them. Status as for commit. */
    meridian_status (*commit_locked)(void* instance, const meridian_commit_group* group,
                                     const meridian_snapshot_write* rows, uint64_t row_count,
                                     const meridian_status_sink* sink);
    /* [submit] After lock_group completed: releases the locks, nothing is written. */
    meridian_status (*abort_locked)(void* instance, const meridian_status_sink* sink);
    /* [control] Before the first lock. `changed` is called when another node has committed: read_log from the last
     * position seen. */
    void (*watch)(void* instance, void* context, void (*changed)(void* context, uint64_t last_position));
} meridian_shared_store_functions;

enum {
    MERIDIAN_STORE_SHARED = 1u << 0, /* several nodes may use it at once */
    MERIDIAN_STORE_BACKUP = 1u << 1,
    /* Keeps nothing: each `create` makes a new store, and MERIDIAN_OK of a write only means that it is visible. For
     * tests and throw-away nodes. */
    MERIDIAN_STORE_VOLATILE = 1u << 2
};

/* ---- transport ----------------------------------------------------------------------------------------------- */
/* Carries bytes between the nodes of a cluster. The core has already authenticated, numbered and protected them against
 * replay; a transport neither reads nor changes them. Nothing here is reliable: hello and pull of the core repair every
 * loss, so a transport never retries a message for longer than its queue holds, and never blocks for a peer.
 *
 * Addresses. A node is named by an address in the transport's own terms, 1..1024 bytes. With
 * MERIDIAN_TRANSPORT_NODE_NAMES that is the node's name (meridian_transport_node), which the core knows. Otherwise the
 * core learns addresses from `source` of what is delivered, and from what other nodes say of themselves, which is what
 * their transport gave as `address`.
 */

enum {
    MERIDIAN_TRANSPORT_BROADCAST = 1u << 0, /* publish */
    MERIDIAN_TRANSPORT_UNICAST = 1u << 1,   /* send */
    MERIDIAN_TRANSPORT_REQUEST = 1u << 2,   /* request: replies natively; otherwise the core matches replies itself */
    MERIDIAN_TRANSPORT_ORDERED = 1u << 3,   /* what one sender publishes arrives in order within an epoch */
    MERIDIAN_TRANSPORT_RECEIVER_COUNT = 1u << 4, /* `done` of publish says how many received it */
    MERIDIAN_TRANSPORT_NODE_NAMES = 1u << 5      /* addresses are node names */
};

enum {
    MERIDIAN_CHANNEL_DELTA = 1,   /* envelopes of one namespace: publish only */
    MERIDIAN_CHANNEL_CONTROL = 2, /* messages between nodes */
    MERIDIAN_CHANNEL_PULL = 3,    /* request only: asks for log entries. Apart, so that HTTP can make it a GET */
    /* Delivered only, with a reply_id, by transports that nodes of the older implementation ask for their log: the
     * bytes are the decimal number from which on they want it. */
    MERIDIAN_CHANNEL_LEGACY_LOG = 4
};

/* What the host gives a transport to call; valid from `start` until `stop` returns. Pass `context`. Several threads may
 * call at once, other than for the sinks of submits; `up` comes in the order of its epochs. */
typedef struct meridian_transport_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] Bytes have arrived. `namespace_name` as published (MERIDIAN_CHANNEL_DELTA, else empty). `source`:
     * the address at which the sender can be reached, if the transport knows it, else empty. reply_id: 0, or chosen by
     * the transport and to be answered by `reply` once. MERIDIAN_BUSY: not taken; stop reading until `resume`, or drop
     * the bytes and report a gap. MERIDIAN_INVALID: not a message of this channel; dropped and counted by the host.
     * Only after MERIDIAN_OK is reply_id answered. */
    meridian_status (*deliver)(void* context, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                               meridian_bytes source, uint64_t reply_id);
    /* [completion] Messages of this channel may have been lost (own drop, reconnect, the broker's word). */
    void (*gap)(void* context, uint32_t channel);
    /* [completion] Messages can be exchanged, with further nodes too: each time with a greater epoch. A transport to
     * single peers calls it for every peer that comes or comes back. The core then says hello. */
    void (*up)(void* context, uint64_t epoch);
    /* [completion] No message can be exchanged with anybody. */
    void (*down)(void* context, meridian_bytes reason);
    /* [completion] After MERIDIAN_BUSY of publish, send or request: there is room. */
    void (*writable)(void* context);
} meridian_transport_sink;

/* Who this node is, for transports that name their channels by it. */
typedef struct meridian_transport_node {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t node_id;
    meridian_bytes node_name; /* the id in lower-case hexadecimal without leading zeros */
} meridian_transport_node;

typedef struct meridian_publish_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] The backend, or every peer, has taken it or will not. MERIDIAN_UNAVAILABLE or MERIDIAN_TIMEOUT: the
     * transport knows of nobody who has; MERIDIAN_OK promises nothing. receivers is meaningful with
     * MERIDIAN_TRANSPORT_RECEIVER_COUNT, and 0 where the status is not MERIDIAN_OK; whether the sender counts is up to
     * the transport. */
    void (*done)(void* context, meridian_status status, meridian_bytes message, uint64_t receivers);
} meridian_publish_sink;

typedef struct meridian_reply_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void* context;
    /* [completion] MERIDIAN_OK with the reply, or MERIDIAN_TIMEOUT, MERIDIAN_UNAVAILABLE, MERIDIAN_CANCELLED,
     * MERIDIAN_NOT_SUPPORTED (the other side does not know the channel: an older node). */
    void (*done)(void* context, meridian_status status, meridian_bytes message, meridian_bytes reply);
} meridian_reply_sink;

enum { MERIDIAN_LINK_CONNECTING = 1, MERIDIAN_LINK_UP = 2, MERIDIAN_LINK_DOWN = 3 };

/* One connection or peer, for people who look at the state of a cluster. */
typedef struct meridian_transport_link {
    uint32_t struct_size;
    uint32_t state;         /* MERIDIAN_LINK_* */
    meridian_bytes address; /* of the broker or peer, without secrets */
    meridian_bytes error;   /* why it was last lost, or empty */
    uint64_t queued_messages;
    uint64_t queued_bytes;
} meridian_transport_link;

/* Required unless marked optional. */
typedef struct meridian_transport_functions {
    uint32_t struct_size;
    uint32_t reserved;
    /* [control] Begins to connect and listen, once. An unreachable backend is not an error here but a `down`; a
     * listening address that cannot be had is an error. The arguments are borrowed: copy them. */
    meridian_status (*start)(void* instance, const meridian_transport_node* node, const meridian_transport_sink* sink,
                             meridian_error* error);
    /* [any] Largest message in bytes, at least 1024; a larger one is MERIDIAN_INVALID. Replies of this size are carried
     * too. */
    uint64_t (*message_bytes_max)(void* instance);
    /* [any] Calls `text` once inside the call with the address at which other nodes reach this one, empty if it is not
     * known. Valid from `start` on. */
    void (*address)(void* instance, void* context, void (*text)(void* context, meridian_bytes address));
    /* [any] Calls `link` inside the call for each connection or peer. */
    void (*links)(void* instance, void* context, void (*link)(void* context, const meridian_transport_link* link));
    /* [submit] To every other node (MERIDIAN_CHANNEL_DELTA or _CONTROL; any other is MERIDIAN_INVALID); calls from one
     * thread keep their order. BUSY: wait for `writable`. What comes back in answer to a message of
     * MERIDIAN_CHANNEL_CONTROL is delivered with its source. */
    meridian_status (*publish)(void* instance, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                               const meridian_publish_sink* sink);
    /* [submit] To one node (MERIDIAN_CHANNEL_CONTROL). Best effort. NULL without MERIDIAN_TRANSPORT_UNICAST. */
    meridian_status (*send)(void* instance, meridian_bytes target, meridian_bytes bytes,
                            const meridian_publish_sink* sink);
    /* [submit] To one node (MERIDIAN_CHANNEL_CONTROL or _PULL, else MERIDIAN_INVALID), and its answer. request_id is
     * chosen by the host, unique among outstanding ones; deadline on the host's monotonic clock. A reply that comes
     * after the deadline or a cancel is dropped by the transport. NULL without MERIDIAN_TRANSPORT_REQUEST. */
    meridian_status (*request)(void* instance, uint64_t request_id, uint32_t channel, meridian_bytes target,
                               meridian_bytes bytes, uint64_t deadline_us, const meridian_reply_sink* sink);
    /* [any] The request completes with MERIDIAN_CANCELLED if it has not completed yet. NULL without
     * MERIDIAN_TRANSPORT_REQUEST. */
    void (*cancel)(void* instance, uint64_t request_id);
    /* [submit] Answers a delivered message; empty bytes: there is nothing to say. An unknown or late reply_id is
     * MERIDIAN_INVALID. NULL if the transport never delivers a reply_id. */
    meridian_status (*reply)(void* instance, uint64_t reply_id, meridian_bytes bytes);
    /* [any] After deliver answered MERIDIAN_BUSY: read on. */
    void (*resume)(void* instance);
} meridian_transport_functions;

/* ---- descriptor ---------------------------------------------------------------------------------------------- */

typedef struct meridian_plugin_descriptor {
    meridian_identity identity;             /* the same bytes as in the note */
    uint32_t struct_size;                   /* sizeof(meridian_plugin_descriptor) */
    uint32_t capabilities;                  /* MERIDIAN_STORE_* or MERIDIAN_TRANSPORT_* */
    const char* licence;                    /* SPDX expression */
    const char* summary;                    /* one line */
    const char* const* required_extensions; /* of the host, NULL-terminated; NULL: none */
    const meridian_config_key* config_keys; /* stepped through by the struct_size of the first */
    uint64_t config_key_count;

    /* [control] Makes an instance; may block (opens, recovers). There are no globals: it may be called for several
     * instances. On failure *instance is not touched, and error has the text. */
    meridian_status (*create)(const meridian_host* host, const meridian_config* config, void** instance,
                              meridian_error* error);
    /* [control] New values of reloadable keys (all of them, changed or not). On failure the old ones stay. Optional:
     * NULL if no key is reloadable. */
    meridian_status (*reconfigure)(void* instance, const meridian_config* config, meridian_error* error);
    /* [control] From now on submits return MERIDIAN_CANCELLED. Commits already submitted are carried out; other
     * outstanding calls may complete as MERIDIAN_CANCELLED once the deadline (host's monotonic clock) has passed. Joins
     * all threads: no completion and no host call after it has returned, `destroy` aside. [any] functions may still be
     * called. */
    void (*stop)(void* instance, uint64_t deadline_us);
    /* [control] After stop. Releases everything. */
    void (*destroy)(void* instance);
    /* [any] A table of further functions by "name/version", or NULL. Optional. */
    const void* (*get_extension)(const char* name_and_version);

    const meridian_store_functions* store;         /* if kind is MERIDIAN_KIND_STORE, else NULL */
    const meridian_transport_functions* transport; /* if kind is MERIDIAN_KIND_TRANSPORT, else NULL */
} meridian_plugin_descriptor;

/* The one exported symbol. [any] Returns the same constant descriptor each time, valid as long as the process. */
#define MERIDIAN_PLUGIN_ENTRY meridian_plugin
#define MERIDIAN_PLUGIN_ENTRY_NAME "meridian_plugin"
#define MERIDIAN_EXPORT __attribute__((visibility("default")))

typedef const meridian_plugin_descriptor* (*meridian_plugin_entry)(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MERIDIAN_PLUGIN_H */
