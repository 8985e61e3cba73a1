# The tables and their protection. No AWS: the provider is mocked.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "the_tables_have_their_keys" {
  assert {
    condition = {
      for table in module.tables.tables : table.name => compact([table.hash_key, table.range_key])
      } == {
      shopflow-orders    = tolist(["orderId"])
      shopflow-inventory = tolist(["productId"])
      shopflow-events    = tolist(["orderId", "eventId"])
    }
    error_message = "A table is missing, too many, or has other keys than the services use."
  }

  assert {
    condition     = alltrue(flatten([for table in module.tables.tables : [for attribute in table.attribute : attribute.type == "S"]]))
    error_message = "A key is not a string."
  }

  assert {
    condition     = alltrue([for table in module.tables.tables : table.billing_mode == "PAY_PER_REQUEST"])
    error_message = "A table is not paid per request."
  }
}

run "the_open_orders_index_is_sparse_and_holds_only_keys" {
  assert {
    # Sparse: openedAt is no key of the table, so an order that lost it is no longer in the index.
    condition = [
      for index in module.tables.tables["orders"].global_secondary_index :
      compact([index.name, index.hash_key, index.range_key, index.projection_type])
    ] == [tolist([output.open_orders_index, "openedAt", "KEYS_ONLY"])]
    error_message = "The orders table's one index is not the keys-only one by openedAt."
  }
}

run "a_local_stack_can_be_thrown_away_and_has_no_alarms" {
  assert {
    condition = !anytrue(flatten([
      for table in module.tables.tables : [table.deletion_protection_enabled, one(table.point_in_time_recovery).enabled]
    ]))
    error_message = "A table of a local stack cannot be thrown away."
  }

  assert {
    condition     = length(module.alarms) == 0 && output.alarm_topic_arn == null && output.dashboard_url == null
    error_message = "A local stack has alarms."
  }
}

run "tables_are_protected_when_asked" {
  variables {
    deletion_protection    = true
    point_in_time_recovery = true
  }

  assert {
    condition = alltrue(flatten([
      for table in module.tables.tables : [table.deletion_protection_enabled, one(table.point_in_time_recovery).enabled]
    ]))
    error_message = "A table is not protected."
  }
}
