/* Plug-ins that are wrong in one way each; the build defines which. */
#include "meridian/plugin.h"

#include <stdlib.h>

#ifndef TINY_NO_NOTE
MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_STORE, "tiny", "1");
#endif

/* Runs when the file is loaded, if it is loaded at all. */
__attribute__((constructor)) static void mark(void) {
    setenv("MERIDIAN_TEST_TINY_LOADED", "1", 1);
}

#ifdef TINY_UNDEFINED
extern void meridian_test_nobody_has_this(void);
#endif

static const meridian_plugin_descriptor descriptor = {
#ifdef TINY_OTHER_NAME
    .identity = MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, "other", "1"),
#else
    .identity = MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, "tiny", "1"),
#endif
    .struct_size = sizeof(meridian_plugin_descriptor),
};

#ifndef TINY_NO_ENTRY
MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void);
const meridian_plugin_descriptor* meridian_plugin(void) {
#ifdef TINY_UNDEFINED
    meridian_test_nobody_has_this();
#endif
    return &descriptor;
}
#else
MERIDIAN_EXPORT const void* meridian_something_else(void);
const void* meridian_something_else(void) {
    return &descriptor;
}
#endif
