"""What is learnt from: pictures, targets made of them and kept, tasks, and batches cut from them."""
