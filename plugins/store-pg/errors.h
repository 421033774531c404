// What can go wrong with a server, and what that means to the host.
#pragma once

#include <stdexcept>
#include <string>

#include "meridian/plugin.hpp"

namespace meridian::store_pg {

// A statement that failed, or a connection that was lost.
class ServerError : public std::runtime_error {
public:
    enum class Kind {
        lost,       // no connection any more: what was sent may or may not have been done
        refused,    // the server has said no; the transaction has failed and nothing of it will be committed. The
                    // connection may be closed all the same
        cancelled,  // this side has given up; the connection is closed
    };
    ServerError(Kind kind, std::string sqlstate, const std::string& text)
        : std::runtime_error(text), kind_(kind), sqlstate_(std::move(sqlstate)) {}

    bool lost() const { return kind_ != Kind::refused; }
    bool cancelled() const { return kind_ == Kind::cancelled; }
    const std::string& sqlstate() const { return sqlstate_; }
    // Deadlock, serialization failure, a lock that took too long, a server that has become read-only (another host of
    // the list may not be): the same may succeed next time.
    bool worth_repeating() const;
    // In the words of plugin.h. Never OUTCOME_UNKNOWN.
    meridian_status status() const;

private:
    Kind kind_;
    std::string sqlstate_;
};

// True if a server that says this is about to end the connection, or cannot write (it is a standby, or became one).
bool ends_connection(const std::string& sqlstate);

}  // namespace meridian::store_pg
