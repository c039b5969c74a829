"""What reading metrics costs, however many events there are."""
