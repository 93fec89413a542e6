// A filter over rows as JSON: keeps those whose `country` is one of `countries` in the configuration, and rejects those
// without one.

#include "countries.h"

#include <stdlib.h>
#include <string.h>

#include "records_plugin.h"

static const char CONFIG_SCHEMA[] =
    "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"countries\"], \"properties\": "
    "{\"countries\": {\"type\": \"array\", \"items\": {\"type\": \"string\", \"pattern\": \"^[a-z]{2}$\"}}}}";

static records_plugin_string_t settings;

void exports_sluicebox_plugin_describe_describe(exports_sluicebox_plugin_describe_description_t *description) {
    records_plugin_string_dup(&description->name, "countries");
    records_plugin_string_dup(&description->version, "0.1.0");
    records_plugin_string_dup(&description->summary, "Keeps the rows of some countries.");
    records_plugin_string_dup(&description->config_schema, CONFIG_SCHEMA);
}

bool exports_sluicebox_plugin_records_open(records_plugin_string_t *config,
                                           exports_sluicebox_plugin_records_list_field_t *input,
                                           exports_sluicebox_plugin_records_plan_t *plan,
                                           exports_sluicebox_plugin_records_error_t *error) {
    (void)error;
    // The host has checked it against the schema: all its strings of two letters are countries.
    settings = *config;
    exports_sluicebox_plugin_records_list_field_free(input);
    memset(plan, 0, sizeof *plan);
    plan->reads.len = plan->rules.len = 1;
    plan->reads.ptr = malloc(sizeof *plan->reads.ptr);
    plan->rules.ptr = malloc(sizeof *plan->rules.ptr);
    records_plugin_string_dup(&plan->reads.ptr[0], "country");
    records_plugin_string_dup(&plan->rules.ptr[0], "no_country");
    plan->output.tag = SLUICEBOX_PLUGIN_TYPES_TRANSFORM_OUTPUT_SELECT;
    return true;
}

bool exports_sluicebox_plugin_records_apply(records_plugin_string_t *rows,
                                            exports_sluicebox_plugin_records_outcome_t *outcome,
                                            exports_sluicebox_plugin_records_error_t *error) {
    (void)error;
    // No row takes less than `{"country":""}`.
    size_t most = rows->len / strlen("{\"country\":\"\"}") + 1;
    memset(outcome, 0, sizeof *outcome);
    outcome->keep.is_some = true;
    bool *keep = outcome->keep.val.ptr = malloc(most * sizeof *keep);
    exports_sluicebox_plugin_records_rejection_t *rejected = NULL;
    size_t count = 0, refused = 0;
    const char *cursor = (const char *)rows->ptr, *end = cursor + rows->len;
    for (Slice country; next_value(&cursor, end, "{\"country\":", &country); count++) {
        keep[count] = is_listed(country, (const char *)settings.ptr, settings.len);
        if (country.start[0] != '"') {
            rejected = realloc(rejected, (refused + 1) * sizeof *rejected);
            rejected[refused].row = (uint32_t)count;
            records_plugin_string_dup(&rejected[refused].rule, "no_country");
            records_plugin_string_dup(&rejected[refused].reason, "it says no country");
            refused++;
        }
    }
    outcome->keep.val.len = count;
    outcome->rejected.ptr = rejected;
    outcome->rejected.len = refused;
    records_plugin_string_free(rows);
    return true;
}
