"""What users call: functions that check their arguments and make nodes of the ops."""
