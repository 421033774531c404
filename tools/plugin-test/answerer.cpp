#include "answerer.h"

#include "host.h"
#include "transport.h"

namespace meridian::plugin_test {

Answerer::Answerer(const meridian_transport_functions& functions, void* instance, std::shared_ptr<Inbox> inbox)
    : inbox_(std::move(inbox)), thread_([&functions, instance, inbox = inbox_] {
          on_host_thread() = true;
          while (const auto reply_id = inbox->next_unasked()) functions.reply(instance, *reply_id, {});
      }) {}

Answerer::~Answerer() {
    inbox_->end_unasked();
    thread_.join();
}

}  // namespace meridian::plugin_test
