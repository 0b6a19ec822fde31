//! The experiment file from outside: messages, layers, text and back.

mod broken;
