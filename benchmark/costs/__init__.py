"""What tables will cost: stages counted, planned without files, and spread over devices."""
