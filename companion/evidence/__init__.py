"""From numbers to what people read: claims and verdicts, tables, curves and figures, pages."""
