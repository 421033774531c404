#include "resolver.h"

#include <resolv.h>

#include "thread_signals.h"

namespace meridian::transport_http {
namespace {
constexpr size_t threads_max = 4;
}

void Resolver::look_up(std::string host, uint16_t port, Done done) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    questions_.push_back({std::move(host), port, std::move(done)});
    if (questions_.size() > idle_ && threads_.size() < threads_max) {
        const SignalsBlocked blocked;
        threads_.emplace_back([this] { run(); });
    }
    wake_.notify_one();
}

void Resolver::run() {
    // The C library keeps these for each thread; by default a lookup takes up to 10 s a name server.
    res_ninit(&_res);
    _res.retrans = 2;
    _res.retry = 1;
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        wake_.wait(lock, [this] { return stopping_ || !questions_.empty(); });
        --idle_;
        if (stopping_) break;
        const Question question = std::move(questions_.front());
        questions_.pop_front();
        lock.unlock();
        LookUpResult result;
        result.addresses = transport_http::look_up(question.host, question.port, result.problem);
        question.done(std::move(result));
        lock.lock();
    }
    res_nclose(&_res);
}

void Resolver::stop() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        questions_.clear();
        threads.swap(threads_);
    }
    wake_.notify_all();
    for (std::thread& thread : threads) thread.join();
}

}  // namespace meridian::transport_http
