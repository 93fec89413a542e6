// A transform over typed columns: adds `age`, the seconds since `sold_at` (seconds since 1970). What a step is granted is
// there by C's own library.
//
//     grants: { clock: true }

#include "age.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transform_plugin.h"

static const char CONFIG_SCHEMA[] = "{\"type\": \"object\", \"additionalProperties\": false}";

void exports_sluicebox_plugin_describe_describe(exports_sluicebox_plugin_describe_description_t *description) {
    transform_plugin_string_dup(&description->name, "age");
    transform_plugin_string_dup(&description->version, "0.1.0");
    transform_plugin_string_dup(&description->summary, "Adds how long ago something was sold.");
    transform_plugin_string_dup(&description->config_schema, CONFIG_SCHEMA);
}

bool exports_sluicebox_plugin_transform_open(transform_plugin_string_t *config,
                                             exports_sluicebox_plugin_transform_list_field_t *input,
                                             exports_sluicebox_plugin_transform_plan_t *plan,
                                             exports_sluicebox_plugin_transform_error_t *error) {
    bool fits = false;
    for (size_t at = 0; at < input->len; at++) {
        const sluicebox_plugin_types_field_t *field = &input->ptr[at];
        bool is_named = field->name.len == 7 && memcmp(field->name.ptr, "sold_at", 7) == 0;
        fits = fits || (is_named && field->kind.tag == SLUICEBOX_PLUGIN_TYPES_KIND_INT64);
    }
    transform_plugin_string_free(config);
    exports_sluicebox_plugin_transform_list_field_free(input);
    if (!fits) {
        error->tag = SLUICEBOX_PLUGIN_TYPES_ERROR_SCHEMA;
        transform_plugin_string_dup(&error->val.schema, "`sold_at` must be a column of int64");
        return false;
    }
    memset(plan, 0, sizeof *plan);
    plan->reads.len = 1;
    plan->reads.ptr = malloc(sizeof *plan->reads.ptr);
    transform_plugin_string_dup(&plan->reads.ptr[0], "sold_at");
    plan->output.tag = SLUICEBOX_PLUGIN_TYPES_TRANSFORM_OUTPUT_COLUMNS;
    sluicebox_plugin_types_list_field_t *set = &plan->output.val.columns.set;
    set->len = 1;
    set->ptr = calloc(1, sizeof *set->ptr);
    transform_plugin_string_dup(&set->ptr[0].name, "age");
    set->ptr[0].kind.tag = SLUICEBOX_PLUGIN_TYPES_KIND_INT64;
    set->ptr[0].nullable = true;
    return true;
}

bool exports_sluicebox_plugin_transform_apply(exports_sluicebox_plugin_transform_batch_t *batch,
                                              exports_sluicebox_plugin_transform_outcome_t *outcome,
                                              exports_sluicebox_plugin_transform_error_t *error) {
    (void)error;
    sluicebox_plugin_types_column_t *sold = &batch->columns.ptr[0], *made = calloc(1, sizeof *made);
    made->length = batch->rows;
    // Null where the time is: the bitmap goes on as it came.
    made->validity = sold->validity;
    sold->validity.is_some = false;
    made->values.tag = SLUICEBOX_PLUGIN_TYPES_VALUES_INT64;
    made->values.val.int64.len = batch->rows;
    made->values.val.int64.ptr = malloc(batch->rows * sizeof(int64_t));
    ages(batch->rows, sold->values.val.int64.ptr, time(NULL), made->values.val.int64.ptr);

    memset(outcome, 0, sizeof *outcome);
    outcome->batch.is_some = true;
    outcome->batch.val.rows = batch->rows;
    outcome->batch.val.columns.len = 1;
    outcome->batch.val.columns.ptr = made;
    sluicebox_plugin_types_batch_free(batch);
    return true;
}
