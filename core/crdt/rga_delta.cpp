#include "crdt/rga_delta.h"

#include <limits>

namespace meridian::crdt {

namespace {

Hlc last_of(const RgaDelta::Run& run, std::string_view steps) {
    Hlc stamp = run.first_id;
    const auto* step = reinterpret_cast<const uint8_t*>(steps.data());
    for (uint32_t i = 1; i < run.count; ++i) step = apply_rga_step(step, stamp);
    return stamp;
}

}  // namespace

void RgaDelta::add(const RgaElement& element) {
    Run run;
    run.first_id = element.id;
    run.count = 1;
    run.has_origin = element.origin_id.has_value();
    if (element.origin_id) run.origin_id = *element.origin_id;
    run.deleted = element.deleted;
    uint8_t character[4];
    const size_t size = element.deleted ? 0 : write_utf8(character, element.content);
    add_run(run, {}, {reinterpret_cast<const char*>(character), size});
}

void RgaDelta::add_run(const Run& run, std::string_view steps, std::string_view text) {
    const bool chains = !runs_.empty() && run.has_origin && run.origin_id == last_id_ &&
                        run.deleted == runs_.back().deleted && fits_rga_step(last_id_, run.first_id) &&
                        runs_.back().count <= std::numeric_limits<uint32_t>::max() - run.count;
    if (!chains) {
        begin_run(run, steps, text);
        return;
    }
    uint8_t step[rga_step_bytes_max];
    const size_t size = write_rga_step(step, last_id_, run.first_id);
    steps_.append(reinterpret_cast<const char*>(step), size).append(steps);
    text_.append(text);
    runs_.back().count += run.count;
    last_id_ = last_of(run, steps);
}

void RgaDelta::begin_run(const Run& run, std::string_view steps, std::string_view text) {
    runs_.push_back(run);
    steps_.append(steps);
    text_.append(text);
    last_id_ = last_of(run, steps);
}

}  // namespace meridian::crdt
