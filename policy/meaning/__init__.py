"""What an alert measures: from Arize's aggregations, dimensions and custom metrics to the names that rules use."""
