// The twin of the real file system that fails on command. Syncs succeed without doing anything: tests that use it are
// about errors, not about lost power.
#pragma once

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <string>

#include "file_system.h"

namespace meridian::test {

class FaultyFileSystem final : public store_kv::FileSystem {
public:
    // From now on the `count`-th call of this operation (1 = the next) fails with `error`; 0 takes the plan back.
    // A failing write first writes half of its bytes.
    void fail(const std::string& operation, int count, int error, bool for_good = false) {
        const std::lock_guard lock(mutex_);
        operation_ = operation;
        countdown_ = count;
        error_ = error;
        for_good_ = for_good;
        fired_ = false;
    }
    bool fired() const {
        const std::lock_guard lock(mutex_);
        return fired_;
    }
    // Every write takes at most so many bytes.
    void limit_writes(size_t bytes) { write_max_ = bytes; }

    int open(const std::string& path, std::unique_ptr<store_kv::File>& out) override {
        return wrap(
            "open", [&] { return real_.open(path, out); }, out);
    }
    int create(const std::string& path, std::unique_ptr<store_kv::File>& out) override {
        return wrap(
            "create", [&] { return real_.create(path, out); }, out);
    }
    int rename(const std::string& from, const std::string& to) override {
        return failing("rename") ? -error_ : real_.rename(from, to);
    }
    int remove(const std::string& path) override { return failing("remove") ? -error_ : real_.remove(path); }
    int make_directory(const std::string& path) override {
        return failing("make_directory") ? -error_ : real_.make_directory(path);
    }
    int sync_directory(const std::string&) override { return failing("sync_directory") ? -error_ : 0; }
    int list(const std::string& path, std::vector<std::string>& out) override {
        return failing("list") ? -error_ : real_.list(path, out);
    }
    int64_t free_bytes(const std::string& path) override {
        return failing("free_bytes") ? -error_ : real_.free_bytes(path);
    }

private:
    class FaultyFile final : public store_kv::File {
    public:
        FaultyFile(FaultyFileSystem& owner, std::unique_ptr<store_kv::File> real)
            : owner_(owner), real_(std::move(real)) {}
        int64_t read(uint64_t offset, void* out, size_t size) override {
            return owner_.failing("read") ? -owner_.error_ : real_->read(offset, out, size);
        }
        int64_t write(uint64_t offset, const void* data, size_t size) override {
            if (owner_.failing("write")) {
                real_->write(offset, data, size / 2);
                return -owner_.error_;
            }
            return real_->write(offset, data, std::min<size_t>(size, owner_.write_max_));
        }
        int sync() override { return owner_.failing("sync") ? -owner_.error_ : 0; }
        int allocate(uint64_t size) override {
            return owner_.failing("allocate") ? -owner_.error_ : real_->allocate(size);
        }
        int64_t size() override { return owner_.failing("size") ? -owner_.error_ : real_->size(); }

    private:
        FaultyFileSystem& owner_;
        std::unique_ptr<store_kv::File> real_;
    };

    template <class Call>
    int wrap(const char* operation, Call call, std::unique_ptr<store_kv::File>& out) {
        if (failing(operation)) return -error_;
        const int code = call();
        if (code == 0) out = std::make_unique<FaultyFile>(*this, std::move(out));
        return code;
    }
    bool failing(const std::string& operation) {
        const std::lock_guard lock(mutex_);
        if (operation != operation_ || countdown_ == 0) return false;
        if (--countdown_ != 0) return false;
        if (for_good_) countdown_ = 1;
        fired_ = true;
        return true;
    }

    store_kv::FileSystem& real_ = store_kv::real_file_system();
    mutable std::mutex mutex_;
    std::string operation_;  // guarded by mutex_, like the next three
    int countdown_ = 0;
    bool for_good_ = false;
    bool fired_ = false;
    std::atomic<int> error_{0};
    std::atomic<size_t> write_max_{SIZE_MAX};
};

}  // namespace meridian::test
