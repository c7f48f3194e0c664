//! Which key means what, in each mode.

use super::state::{Action, Effect, Mode, Sort, State};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Applies a key to the state; what is left to do.
pub fn press(state: &mut State, mut key: KeyEvent) -> Effect {
    // An escape with the next key close behind looks like that key with Alt, which means nothing here.
    if key.modifiers.contains(KeyModifiers::ALT) && key.kind != KeyEventKind::Release {
        key.modifiers.remove(KeyModifiers::ALT);
        state.apply(Action::Cancel);
    }
    action(&state.mode, key).map_or(Effect::None, |action| state.apply(action))
}

/// What a key means; `None` if nothing.
fn action(mode: &Mode, key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('l') => Some(Action::Redraw),
            KeyCode::Char('u') if mode.is_input() => Some(Action::EraseAll),
            KeyCode::Char('h') if mode.is_input() => Some(Action::Erase),
            _ => None,
        };
    }
    if mode.is_input() {
        return match key.code {
            KeyCode::Char(c) => Some(Action::Type(c)),
            KeyCode::Backspace => Some(Action::Erase),
            KeyCode::Enter => Some(Action::Accept),
            KeyCode::Esc => Some(Action::Cancel),
            other => moves(other),
        };
    }
    match key.code {
        KeyCode::Char('g') => Some(Action::Sort(Sort::Growth)),
        KeyCode::Char('l') => Some(Action::Sort(Sort::Live)),
        KeyCode::Char('a') => Some(Action::Sort(Sort::Age)),
        KeyCode::Char('/') => Some(Action::Filter),
        KeyCode::Char('m') => Some(Action::Mark),
        KeyCode::Char('s') => Some(Action::Snapshot),
        KeyCode::Char('h' | '?') => Some(Action::Help),
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Char('j') => Some(Action::Down(1)),
        KeyCode::Char('k') => Some(Action::Up(1)),
        KeyCode::Char(' ') => moves(KeyCode::PageDown),
        KeyCode::Enter => Some(Action::Accept),
        KeyCode::Esc | KeyCode::Backspace => Some(Action::Cancel),
        other => moves(other),
    }
}

/// Lines of a page. The view shows at least as many on an ordinary screen.
const PAGE: usize = 10;

fn moves(code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Up => Some(Action::Up(1)),
        KeyCode::Down => Some(Action::Down(1)),
        KeyCode::PageUp => Some(Action::Up(PAGE)),
        KeyCode::PageDown => Some(Action::Down(PAGE)),
        KeyCode::Home => Some(Action::Up(usize::MAX)),
        KeyCode::End => Some(Action::Down(usize::MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(mode: &Mode, code: KeyCode) -> Option<Action> {
        action(mode, KeyEvent::from(code))
    }

    #[test]
    fn letters_are_commands_except_where_text_is_typed() {
        assert_eq!(key(&Mode::Table, KeyCode::Char('q')), Some(Action::Quit));
        assert_eq!(key(&Mode::Stack, KeyCode::Char('j')), Some(Action::Down(1)));
        assert_eq!(key(&Mode::Filter, KeyCode::Char('q')), Some(Action::Type('q')));
        assert_eq!(key(&Mode::Mark(String::new()), KeyCode::Char('j')), Some(Action::Type('j')));
        assert_eq!(key(&Mode::Filter, KeyCode::Down), Some(Action::Down(1)));
        assert_eq!(key(&Mode::Table, KeyCode::F(5)), None);
    }

    #[test]
    fn an_escape_just_before_a_key_counts() {
        let mut state = State::default();
        (state.mode, state.filter) = (Mode::Filter, "zlib".to_owned());
        let effect = press(&mut state, KeyEvent::new(KeyCode::Char('m'), KeyModifiers::ALT));
        assert_eq!((effect, state.filter.as_str(), state.mode), (Effect::None, "", Mode::Mark(String::new())));
    }

    #[test]
    fn control_keys_work_everywhere() {
        for mode in [Mode::Table, Mode::Filter, Mode::Mark(String::new()), Mode::Stack, Mode::Help] {
            let with_control = |c| action(&mode, KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
            assert_eq!(with_control('c'), Some(Action::Quit));
            assert_eq!(with_control('z'), Some(Action::Suspend));
        }
    }
}
