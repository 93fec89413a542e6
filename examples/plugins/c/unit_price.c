// A transform over typed columns: adds `unit_cents`, which is `amount_cents` divided by `quantity`.

#include "unit_price.h"

#include <stdlib.h>
#include <string.h>

#include "transform_plugin.h"

static const char CONFIG_SCHEMA[] = "{\"type\": \"object\", \"additionalProperties\": false}";

void exports_sluicebox_plugin_describe_describe(exports_sluicebox_plugin_describe_description_t *description) {
    transform_plugin_string_dup(&description->name, "unit-price");
    transform_plugin_string_dup(&description->version, "0.1.0");
    transform_plugin_string_dup(&description->summary, "Adds the price of one piece.");
    transform_plugin_string_dup(&description->config_schema, CONFIG_SCHEMA);
}

static bool is_int64(const exports_sluicebox_plugin_transform_list_field_t *input, const char *name) {
    for (size_t at = 0; at < input->len; at++) {
        const sluicebox_plugin_types_field_t *field = &input->ptr[at];
        if (field->name.len == strlen(name) && memcmp(field->name.ptr, name, field->name.len) == 0) {
            return field->kind.tag == SLUICEBOX_PLUGIN_TYPES_KIND_INT64;
        }
    }
    return false;
}

bool exports_sluicebox_plugin_transform_open(transform_plugin_string_t *config,
                                             exports_sluicebox_plugin_transform_list_field_t *input,
                                             exports_sluicebox_plugin_transform_plan_t *plan,
                                             exports_sluicebox_plugin_transform_error_t *error) {
    bool fits = is_int64(input, "amount_cents") && is_int64(input, "quantity");
    transform_plugin_string_free(config);
    exports_sluicebox_plugin_transform_list_field_free(input);
    if (!fits) {
        error->tag = SLUICEBOX_PLUGIN_TYPES_ERROR_SCHEMA;
        transform_plugin_string_dup(&error->val.schema, "`amount_cents` and `quantity` must be columns of int64");
        return false;
    }
    memset(plan, 0, sizeof *plan);
    plan->reads.len = 2;
    plan->reads.ptr = malloc(2 * sizeof *plan->reads.ptr);
    transform_plugin_string_dup(&plan->reads.ptr[0], "amount_cents");
    transform_plugin_string_dup(&plan->reads.ptr[1], "quantity");
    plan->output.tag = SLUICEBOX_PLUGIN_TYPES_TRANSFORM_OUTPUT_COLUMNS;
    sluicebox_plugin_types_list_field_t *set = &plan->output.val.columns.set;
    set->len = 1;
    set->ptr = calloc(1, sizeof *set->ptr);
    transform_plugin_string_dup(&set->ptr[0].name, "unit_cents");
    set->ptr[0].kind.tag = SLUICEBOX_PLUGIN_TYPES_KIND_INT64;
    set->ptr[0].nullable = true;
    return true;
}

static const uint8_t *validity_of(const sluicebox_plugin_types_column_t *column) {
    return column->validity.is_some ? column->validity.val.ptr : NULL;
}

bool exports_sluicebox_plugin_transform_apply(exports_sluicebox_plugin_transform_batch_t *batch,
                                              exports_sluicebox_plugin_transform_outcome_t *outcome,
                                              exports_sluicebox_plugin_transform_error_t *error) {
    (void)error;
    size_t rows = batch->rows;
    const sluicebox_plugin_types_column_t *amounts = &batch->columns.ptr[0], *quantities = &batch->columns.ptr[1];
    sluicebox_plugin_types_column_t *prices = calloc(1, sizeof *prices);
    prices->length = batch->rows;
    prices->validity.is_some = true;
    prices->validity.val.len = (rows + 7) / 8;
    prices->validity.val.ptr = calloc(prices->validity.val.len, 1);
    prices->values.tag = SLUICEBOX_PLUGIN_TYPES_VALUES_INT64;
    prices->values.val.int64.len = rows;
    prices->values.val.int64.ptr = malloc(rows * sizeof(int64_t));
    unit_prices(rows, amounts->values.val.int64.ptr, validity_of(amounts), quantities->values.val.int64.ptr,
                validity_of(quantities), prices->values.val.int64.ptr, prices->validity.val.ptr);

    memset(outcome, 0, sizeof *outcome);
    outcome->batch.is_some = true;
    outcome->batch.val.rows = batch->rows;
    outcome->batch.val.columns.len = 1;
    outcome->batch.val.columns.ptr = prices;
    sluicebox_plugin_types_batch_free(batch);
    return true;
}
